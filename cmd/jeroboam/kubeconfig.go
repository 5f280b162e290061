package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers/pki"
)

// kubeconfigFlags are those of `kubeconfig` alone.
type kubeconfigFlags struct {
	lifetime time.Duration
	user     string
	groups   []string
	out      string
	server   string
}

// What a certificate may live: kubectl needs a minute, and nobody can take one
// back.
const (
	workingDay  = 8 * time.Hour
	minLifetime = time.Minute
)

// apiName is in the certificate of every API server, whatever address leads to
// it: kubeadm puts it there.
const apiName = "kubernetes"

// apiPort is the API's where its address says none.
const apiPort = 6443

func (a *app) kubeconfig() *cobra.Command {
	var f kubeconfigFlags
	cmd := &cobra.Command{
		Use:   "kubeconfig CLUSTER",
		Short: "Make a kubeconfig with a client certificate of its own",
		Long: `Make a kubeconfig with a new client certificate, signed by the cluster's authority.
The certificate cannot be taken back: it is good until it ends, which is why it
lives for a working day unless --lifetime says otherwise, at most a year. Members
of the group system:masters may do anything, whatever RBAC says; give other groups
to those who need less. CLUSTER is a name or cloud/name.

A cluster with tlsDisabled gets a kubeconfig without certificates: its API is served
with TLS all the same, and lets in everybody.`,
		Example: `  jeroboam kubeconfig web > web.kubeconfig
  jeroboam kubeconfig lab-demo/web --out web.kubeconfig --lifetime 1h
  jeroboam kubeconfig web --user joe --group developers
  jeroboam kubeconfig web --server https://203.0.113.7:6443`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.lifetime < minLifetime || f.lifetime > pki.DefaultMax {
				return fmt.Errorf("--lifetime is %s: give %s to %s", f.lifetime, minLifetime, pki.DefaultMax)
			}
			return a.withKeeper(cmd.Context(), args[0], true, func(k keyed) error { return a.writeKubeconfig(cmd.Context(), k, f) })
		},
	}
	a.fleetFlags(cmd)
	cmd.Flags().DurationVar(&f.lifetime, "lifetime", workingDay, "`time` that the certificate is good for, 1m to 8760h")
	cmd.Flags().StringVar(&f.user, "user", "", "`name` of the user (default $USER, else admin)")
	cmd.Flags().StringArrayVar(&f.groups, "group", []string{pki.Masters}, "`group` of the user; may be given again")
	cmd.Flags().StringVar(&f.out, "out", "", "`file` to make, readable by its owner alone (default standard output)")
	cmd.Flags().StringVar(&f.server, "server", "", "`URL` of the API (default what the cloud says: https://ADDRESS:6443)")
	return cmd
}

func (a *app) writeKubeconfig(ctx context.Context, k keyed, f kubeconfigFlags) error {
	access, err := a.access(ctx, k, f)
	if err != nil {
		return err
	}
	made, err := pki.Kubeconfig(access)
	if err != nil {
		return err
	}
	text := made.Reveal()
	if a.json() {
		b, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			return errors.New("the kubeconfig cannot be written as JSON") // the reader's words may quote it
		}
		text = string(b) + "\n"
	}
	if access.Anonymous {
		a.say("warning", k.key.String()+" has tlsDisabled: its API lets in everybody who reaches it, and kubectl does not check whom it talks to")
	}
	if f.out == "" {
		_, err := io.WriteString(a.stdout, text)
		return err
	}
	if err := writeNew(f.out, text, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	_, err = fmt.Fprintln(a.stdout, f.out+": "+told(access))
	return err
}

// told says who somebody with the file is, and for how long.
func told(x pki.Access) string {
	if x.Anonymous {
		return x.Cluster + " at " + x.Server + ", as everybody"
	}
	c := x.Credential.Certificate
	return fmt.Sprintf("%s at %s, as %s in %s until %s", x.Cluster, x.Server, c.Subject.CommonName,
		strings.Join(c.Subject.Organization, ", "), c.NotAfter.UTC().Format(time.RFC3339))
}

// access finds out where the API is and gives somebody a way in.
func (a *app) access(ctx context.Context, k keyed, f kubeconfigFlags) (pki.Access, error) {
	x := pki.Access{Cluster: k.key.String(), Server: f.server}
	o, err := see(ctx, k)
	if err != nil && f.server == "" { // otherwise what is kept will do
		return x, err
	}
	if x.Server == "" {
		if x.Server, err = serverOf(o); err != nil {
			return x, err
		}
	}
	if o.Spec != nil && o.Spec.TLSDisabled {
		x.Anonymous = true
		return x, nil
	}
	keys, err := k.Keys(ctx, k.key)
	if err != nil {
		return x, err
	}
	who := pki.Client{User: cmp.Or(f.user, a.getenv("USER"), "admin"), Groups: f.groups}
	x.Credential, err = keys.Cluster.Client(who, pki.Terms{Now: a.now(), Random: rand.Reader, Lifetime: f.lifetime})
	x.Trust, x.ServerName = keys.Cluster.Bundle(), apiName
	return x, err
}

// see observes one cluster.
func see(ctx context.Context, k keyed) (diff.Observed, error) {
	have, err := k.driver.Observe(ctx)
	if err != nil {
		return diff.Observed{}, err
	}
	for _, o := range have {
		if o.Key == k.key && o.Owner != diff.Foreign && o.Status != diff.DeleteComplete {
			return o, nil
		}
	}
	return diff.Observed{}, fmt.Errorf("there is no cluster %s in the cloud; with --server a kubeconfig can be made all the same", k.key)
}

// serverOf is the URL of a cluster's API: the address that the driver saw, which
// may be a URL.
func serverOf(o diff.Observed) (string, error) {
	switch address := o.APIAddress; {
	case address == "":
		return "", fmt.Errorf("the cloud does not say where the API of %s is; give --server", o.Key)
	case strings.Contains(address, "://"):
		return strings.TrimSuffix(address, "/"), nil
	default:
		host, port := address, apiPort
		if h, p, err := net.SplitHostPort(address); err == nil {
			n, err := strconv.Atoi(p)
			if err != nil {
				return "", fmt.Errorf("the cloud says that the API of %s is at %q, which is no address; give --server", o.Key, address)
			}
			host, port = h, n
		}
		return pki.ServerURL(host, port, false)
	}
}
