package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBootStory is the life of a cluster whose machines really boot: emulated
// guests of the lab's zone "boot" (deploy/lab/README.md), with Kubernetes, etcd
// and containerd as the boot scripts make them. Everything is asked for in Git,
// done by the daemon and seen through the cluster's own API. make acceptance-boot
// sets JEROBOAM_BOOT to the folder with the mirror, and brings up what the story
// needs.
func TestBootStory(t *testing.T) {
	mirror := os.Getenv("JEROBOAM_BOOT")
	if mirror == "" {
		t.Skip("JEROBOAM_BOOT is not set: the story needs nodes that boot, see make acceptance-boot")
	}
	b := &bootWorld{labWorld: newLab(t), mirror: mirror}
	b.cloud, b.patience, b.pause = "lab-boot", 45*time.Minute, 3*time.Second
	b.guestsBefore = b.guests()
	b.daemon()

	b.chapter("from a commit to a cluster that is ready, 1 master and 1 worker", func() {
		b.declare(bootOld, 1)
		b.commit("a cluster")
		b.inSync(1)
		b.remember()
	})
	b.chapter("its API: nodes Ready, system pods run, a service has a name", func() {
		b.jeroboam(exitOK, "kubeconfig", b.name, "--out", b.kubeconfig())
		b.nodesReady(bootOld, 2)
		b.podsRun()
		b.kubectl("create", "configmap", "kept", "--from-literal=by=etcd")
		b.apply(bootWorkload)
		b.kubectl("rollout", "status", "deployment/held", "--timeout=300s")
		b.until("a pod on the worker finds a service by its name", func() bool {
			_, err := b.try("exec", "deployment/held", "--", "nslookup", "kubernetes.default.svc.cluster.local")
			return err == nil
		})
		b.says(b.statusFile(), `health_status: HEALTHY`)
		b.logf("memory: %s", b.memory())
	})
	b.chapter("a second worker", func() {
		b.declare(bootOld, 2)
		b.commit("two workers")
		b.inSync(1)
		b.nodesReady(bootOld, 3)
		b.remember()
	})
	b.chapter("the next minor version, master first", func() {
		members, watch := b.members(), b.watch()
		b.declare(bootNew, 2)
		b.commit("the next minor version")
		b.inSync(1)
		if least := watch(); least < 1 {
			t.Errorf("while nodes were replaced %d pods of a deployment with a budget of one ran", least)
		}
		b.nodesReady(bootNew, 3)
		b.podsRun()
		if now := b.members(); now != members {
			t.Errorf("etcd had the member %s and has %s", members, now)
		}
		b.says(b.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.by}"), `^etcd$`)
		b.remember()
	})
	b.chapter("one worker: the one without workload goes", func() {
		busy := b.gather()
		b.declare(bootNew, 1)
		b.commit("one worker")
		b.inSync(1)
		b.nodesReady(bootNew, 2)
		if left := b.kubectl("get", "nodes", "-o", "name"); !strings.Contains(left, "node/"+busy+"\n") {
			t.Errorf("the pods were on %s, and left are\n%s", busy, left)
		}
		b.kubectl("rollout", "status", "deployment/held", "--timeout=120s")
	})
	b.chapter("a boot that fails says where", func() {
		b.breakMirror()
		b.declare(bootNew, 1, bootBroken)
		b.commit("a group whose mirror has another kubelet than it says")
		if _, err := b.sync(); err != nil {
			t.Error(err)
		}
		b.until("the status names the node and the step", func() bool {
			return regexp.MustCompile(`-broken-0: .*step binaries failed`).MatchString(b.statusFile())
		})
		b.declare(bootNew, 1)
		b.commit("without it")
		b.inSync(1)
		b.nodesReady(bootNew, 2)
	})
	b.chapter("labels and taints of running nodes", func() {
		b.declare(bootNew, 1, bootLabelled)
		b.commit("a label and a taint")
		b.inSync(1)
		b.says(b.kubectl("get", "nodes", "-l", "tier=gold", "-o", "jsonpath={range .items[*]}{.metadata.name} {.spec.taints}{end}"),
			`^\S+-default-worker-\d .*"effect":"PreferNoSchedule","key":"tier","value":"gold"`)
	})
	b.chapter("delete in two commits, and nothing is left", func() {
		b.declare(bootNew, 1, bootUnprotected)
		b.commit("it may go")
		b.inSync(1)
		if err := os.Remove(filepath.Join(b.dir, "fleet", "cluster.yaml")); err != nil {
			t.Fatal(err)
		}
		ack := regexp.MustCompile(`Jeroboam-Ack: empty-fleet [0-9a-f]{8}`).FindString(b.jeroboam(exitHeld, "plan", "fleet"))
		b.commit("it goes\n\n" + ack)
		b.inSync(0)
		b.until("its keys are gone", func() bool { return len(b.secretsLeft()) == 0 })
		if left := b.left(); len(left) > 0 {
			t.Errorf("left in the cloud: %v", left)
		}
		if now := b.guests(); !slices.Equal(now, b.guestsBefore) {
			t.Errorf("left of the machines: %v; before there was %v", now, b.guestsBefore)
		}
	})
	t.Logf("\n%s", strings.Join(b.told, "\n"))
}

// The versions that the lab's mirror has.
const (
	bootOld = "v1.35.4"
	bootNew = "v1.36.3"
)

const bootTemplate = `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: boots}
spec:
  coe: kubernetes
  image: debian-boot
  masterFlavor: boot.master
  flavor: boot.worker
  keypair: testkey
  externalNetwork: public
  floatingIPEnabled: true
  networkDriver: flannel
  labels:
    availability_zone: boot
    mirror_url: http://169.254.169.1:8090
    cloud_provider_enabled: false
    etcd_volume_size: 1
    kubelet_options: --housekeeping-interval=1m
    kubecontroller_options: --leader-elect=false
    kubescheduler_options: --leader-elect=false
`

// What the cluster's spec says at times.
const (
	bootBroken      = "nodeGroups: [{name: broken, role: worker, nodeCount: 1, flavor: boot.worker, labels: {mirror_url: 'http://169.254.169.1:8090/broken'}}]"
	bootLabelled    = "nodeGroups: [{name: default-worker, nodeLabels: {tier: gold}, nodeTaints: [{key: tier, value: gold, effect: PreferNoSchedule}]}]"
	bootUnprotected = "deletionProtection: false"
)

// bootCluster is a cluster with so many workers, and what else its spec says.
func bootCluster(name, kube string, workers int, more string) string {
	return fmt.Sprintf("apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: %s}\nspec:\n  cloud: lab-boot\n  template: boots\n"+
		"  masterCount: 1\n  nodeCount: %d\n  labels: {kube_tag: %s}\n  %s\n", name, workers, kube, more)
}

// The story takes half an hour: what it declares is looked at before.
func TestBootFleetIsValid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{"template.yaml": bootTemplate}
	for i, more := range []string{"", bootBroken, bootLabelled, bootUnprotected} {
		files[fmt.Sprintf("cluster-%d.yaml", i)] = bootCluster(fmt.Sprint("c", i), bootNew, 2, more)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"validate", dir}, &out, &errs, time.Now); code != exitOK || strings.Contains(out.String()+errs.String(), "warning") {
		t.Errorf("exit %d\n%s%s", code, &out, &errs)
	}
}

// Two pods that stay apart if they can, of which one must always serve.
const bootWorkload = `apiVersion: apps/v1
kind: Deployment
metadata: {name: held}
spec:
  replicas: 2
  selector: {matchLabels: {app: held}}
  template:
    metadata: {labels: {app: held}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: "jeroboam.io/lab-pod:1", imagePullPolicy: Never, command: [httpd, -f, -p, "8080"], readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 2}}
---
apiVersion: v1
kind: Service
metadata: {name: held}
spec: {selector: {app: held}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: held}
spec: {minAvailable: 1, selector: {matchLabels: {app: held}}}
`
