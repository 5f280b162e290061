// Command flannel is the CNI plugin between flanneld and the plugin bridge: it
// reads what flanneld leaves in subnet.env, makes bridge's configuration of it and
// of its own "delegate", and runs bridge.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	subnetFile = "/run/flannel/subnet.env"
	// What bridge was given for a pod, for the day it has to go: after a restart
	// of the node there may be no subnet.env yet, and the address is still taken.
	folder = "/var/lib/cni/flannel"
)

func main() {
	if err := run(os.Getenv("CNI_COMMAND"), filepath.Join(folder, filepath.Base(os.Getenv("CNI_CONTAINERID")))); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok { // bridge has said why
			os.Exit(exit.ExitCode())
		}
		// Code 11 of CNI's specification: try again later.
		json.NewEncoder(os.Stdout).Encode(map[string]any{"cniVersion": "1.0.0", "code": 11, "msg": "flannel: " + err.Error()})
		os.Exit(1)
	}
}

func run(command, saved string) error {
	switch command {
	case "VERSION":
		fmt.Println(`{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}`)
		return nil
	case "DEL":
		config, err := os.ReadFile(saved)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // never added, or deleted before
		}
		if err == nil {
			err = bridge(config)
		}
		if err != nil {
			return err
		}
		return os.Remove(saved)
	}
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	subnet, err := os.ReadFile(subnetFile)
	if err != nil {
		return err
	}
	config, err := delegate(input, string(subnet))
	if err == nil && command == "ADD" {
		err = errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(saved, config, 0o600))
	}
	if err != nil {
		return err
	}
	return bridge(config)
}

func bridge(config []byte) error {
	cmd := exec.Command(filepath.Join(filepath.SplitList(os.Getenv("CNI_PATH"))[0], "bridge"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(config), os.Stdout, os.Stderr
	return cmd.Run()
}

// delegate is bridge's configuration. The subnet is given by the address of its
// gateway; host-local wants the network's.
func delegate(input []byte, subnetEnv string) ([]byte, error) {
	var in struct {
		CNIVersion string          `json:"cniVersion"`
		Name       string          `json:"name"`
		Delegate   map[string]any  `json:"delegate"`
		PrevResult json.RawMessage `json:"prevResult,omitempty"`
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	env := map[string]string{}
	for line := range strings.Lines(subnetEnv) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[name] = value
		}
	}
	subnet, err := netip.ParsePrefix(env["FLANNEL_SUBNET"])
	if err != nil {
		return nil, fmt.Errorf("FLANNEL_SUBNET: %w", err)
	}
	mtu, err := strconv.Atoi(env["FLANNEL_MTU"])
	if err != nil {
		return nil, fmt.Errorf("FLANNEL_MTU: %w", err)
	}
	out := map[string]any{
		"cniVersion": in.CNIVersion, "name": in.Name, "type": "bridge", "isGateway": true, "mtu": mtu,
		"ipMasq": env["FLANNEL_IPMASQ"] == "false", // who masquerades: flanneld or we
		"ipam": map[string]any{
			"type":   "host-local",
			"ranges": [][]any{{map[string]any{"subnet": subnet.Masked().String()}}},
			"routes": []any{map[string]any{"dst": env["FLANNEL_NETWORK"]}},
		},
	}
	maps.Copy(out, in.Delegate)
	if len(in.PrevResult) > 0 {
		out["prevResult"] = in.PrevResult
	}
	return json.Marshal(out)
}
