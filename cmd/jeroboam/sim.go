package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/drivers/sim"
)

func (a *app) sim() *cobra.Command {
	var listen, clouds string
	o := sim.Options{RuledServices: []string{"key-manager"}}
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run a simulated OpenStack on loopback, to try things on",
		Long: `Run a simulated OpenStack on loopback: Keystone, Heat and what clusters need of
Nova, Neutron, Glance and Cinder, in memory, with nodes that boot in seconds. It
starts empty each time. Point clients at it with the clouds.yaml that it writes.`,
		Example: `  jeroboam sim --clouds clouds.yaml &
  export OS_CLIENT_CONFIG_FILE=$PWD/clouds.yaml
  jeroboam plan .`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runSim(cmd.Context(), listen, clouds, o) },
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:5050", "`address` to listen on; port 0 picks a free one")
	f.StringVar(&clouds, "clouds", "", "write a clouds.yaml for it to `file`")
	f.DurationVar(&o.Latency, "latency", 5*time.Millisecond, "`time` added to each answer")
	f.DurationVar(&o.BuildTime, "build-time", time.Second, "`time` to make a resource")
	f.DurationVar(&o.BootTime, "boot-time", 3*time.Second, "`time` a node takes to boot")
	return cmd
}

// simClouds has the two users that sim knows.
const simClouds = `# a simulated OpenStack; its password is no secret
clouds:
  lab-demo: {region_name: RegionOne, auth: {auth_url: "%[1]s/identity/v3", username: demo, password: sim, project_name: demo, user_domain_name: Default, project_domain_name: Default}}
  lab-demo2: {region_name: RegionOne, auth: {auth_url: "%[1]s/identity/v3", username: demo2, password: sim, project_name: demo2, user_domain_name: Default, project_domain_name: Default}}
`

func (a *app) runSim(ctx context.Context, listen, clouds string, o sim.Options) error {
	l, err := listenSim(ctx, listen, clouds)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "a simulated OpenStack listens on http://%s\n", l.Addr())
	return serveSim(ctx, l, o)
}

// listenSim opens the address of a simulated cloud, and writes a clouds.yaml for
// it unless that has no name.
func listenSim(ctx context.Context, listen, clouds string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if clouds != "" {
		if err := os.WriteFile(clouds, fmt.Appendf(nil, simClouds, "http://"+l.Addr().String()), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("write clouds.yaml: %w", err), l.Close())
		}
	}
	return l, nil
}

// serveSim is the simulated cloud until the context ends.
func serveSim(ctx context.Context, l net.Listener, o sim.Options) error {
	server := &http.Server{Handler: sim.New(o), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	err := server.Close()
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}
