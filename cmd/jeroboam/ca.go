package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/drivers/heat"
	"jeroboam.io/jeroboam/drivers/pki"
)

// soon is how long before its end an authority is told of: replacing one takes
// planning.
const soon = 180 * 24 * time.Hour

func (a *app) ca() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Show, export and forget the authorities of Kubernetes clusters",
		Long: `Show, export and forget the authorities of Kubernetes clusters: the keys with which
certificates of the API, of etcd and of the front proxy are signed, and the tokens
of pods. They are made before their cluster and kept in Barbican, or below stateDir
where the Config says so. CLUSTER is a name or cloud/name.`,
		Example: `  jeroboam ca show web
  jeroboam ca export lab-demo/web --out web-keys`,
	}
	cmd.AddCommand(a.caShow(), a.caExport(), a.caForget())
	return cmd
}

func (a *app) caShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show CLUSTER",
		Short: "Show a cluster's authorities and where their keys are kept",
		Example: `  jeroboam ca show web
  jeroboam ca show lab-demo/web -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKeeper(cmd.Context(), args[0], true, func(k keyed) error { return a.showAuthorities(cmd.Context(), k) })
		},
	}
	a.fleetFlags(cmd)
	return cmd
}

func (a *app) showAuthorities(ctx context.Context, k keyed) error {
	keys, err := k.Keys(ctx, k.key)
	if err != nil {
		return err
	}
	shown := view.Authorities{
		Cluster: k.key, Kept: k.KeptAt(k.key), Certificate: keys.Show(),
		Warnings: view.Expiry(keys.Expiring(a.now(), soon), a.now()),
	}
	if shown.Kept.Local {
		open, err := heat.NotBackedUp(ctx, k.config.KeyDir(), k.config.Owner)
		if err != nil {
			return err
		}
		if slices.Contains(open, k.key) {
			shown.Warnings = append(shown.Warnings, "the keys are on this machine alone: back them up with jeroboam ca export "+k.key.String()+" --out FOLDER")
		}
	}
	if a.json() {
		return view.AuthoritiesJSON(a.stdout, shown)
	}
	return view.AuthoritiesText(a.stdout, shown, a.view())
}

func (a *app) caExport() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export CLUSTER --out FOLDER",
		Short: "Write a cluster's keys to a new folder, to be kept elsewhere",
		Long: `Write a cluster's certificates and private keys to a new folder, as kubeadm lays
them out below /etc/kubernetes/pki. Whoever has these files owns the cluster for as
long as it lives: bring them to a safe place, and remove them here. What is there
is never overwritten. Keys that are kept locally count as backed up from then on.`,
		Example: `  jeroboam ca export web --out web-keys
  jeroboam ca export lab-demo/web --out /media/safe/web`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return errors.New("--out is missing: name a folder that is not there yet")
			}
			return a.withKeeper(cmd.Context(), args[0], true, func(k keyed) error { return a.export(cmd.Context(), k, out) })
		},
	}
	a.fleetFlags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`folder` to make and write to")
	return cmd
}

func (a *app) export(ctx context.Context, k keyed, folder string) error {
	keys, err := k.Keys(ctx, k.key)
	if err != nil {
		return err
	}
	files, err := keys.Files()
	if err != nil {
		return err
	}
	if err := writeKeys(folder, files); err != nil {
		return err
	}
	if err := k.BackedUp(ctx, k.key); err != nil {
		return fmt.Errorf("the keys are in %s, but that could not be noted: %w", folder, err)
	}
	done := view.Exported{Cluster: k.key.String(), Folder: folder}
	for _, f := range files {
		done.Files = append(done.Files, f.Name)
	}
	if a.json() {
		return view.ExportedJSON(a.stdout, done)
	}
	return view.ExportedText(a.stdout, done, a.view())
}

// writeKeys makes a folder with these files, on the disk when it returns. One
// that could not be filled is removed again.
func writeKeys(folder string, files []pki.File) (err error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make a new folder: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	folders := map[string]bool{folder: true}
	for _, f := range files {
		path := filepath.Join(folder, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		folders[filepath.Dir(path)] = true
		mode := os.FileMode(0o644)
		if f.Private() {
			mode = 0o600
		}
		if err := writeNew(path, f.Text.Reveal(), mode); err != nil {
			return err
		}
	}
	for path := range folders {
		if err := syncPath(path); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that must not be there yet.
func writeNew(path, text string, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (a *app) caForget() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget CLUSTER",
		Short: "Remove the keys of a cluster that is gone",
		Long: `Remove the keys of a cluster that is gone, and the credentials that let its nodes
in. Passes do that for the clusters that they delete; this is for what doctor tells
of, such as clusters that somebody else deleted. It is refused while the cluster's
stack is there. CLUSTER is a name or cloud/name.`,
		Example: `  jeroboam ca forget lab-demo/web`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withKeeper(cmd.Context(), args[0], false, func(k keyed) error { return k.Forget(cmd.Context(), k.key) })
		},
	}
	a.fleetFlags(cmd)
	return cmd
}
