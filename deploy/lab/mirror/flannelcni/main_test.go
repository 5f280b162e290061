package main

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestDelegateIsBridgeWithTheNodesSubnet(t *testing.T) {
	got, err := delegate(
		[]byte(`{"cniVersion":"1.0.0","name":"cbr0","type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}}`),
		"FLANNEL_NETWORK=10.100.0.0/16\nFLANNEL_SUBNET=10.100.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n")
	if err != nil {
		t.Fatal(err)
	}
	want := `{"cniVersion":"1.0.0","name":"cbr0","type":"bridge","mtu":1450,"ipMasq":false,"isGateway":true,"hairpinMode":true,"isDefaultGateway":true,
		"ipam":{"type":"host-local","ranges":[[{"subnet":"10.100.3.0/24"}]],"routes":[{"dst":"10.100.0.0/16"}]}}`
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDelegateRefusesHalfASubnetFile(t *testing.T) {
	for _, env := range []string{"", "FLANNEL_SUBNET=10.100.3.1/24\n", "FLANNEL_SUBNET=10.100\nFLANNEL_MTU=1450\n"} {
		if got, err := delegate([]byte(`{"cniVersion":"1.0.0","name":"cbr0"}`), env); err == nil {
			t.Errorf("%q: got %s, want an error", env, got)
		}
	}
}
