package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"jeroboam.io/jeroboam/cmd/internal/web"
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
	b.cloud, b.patience, b.pause = "lab-boot", 45*time.Minute, 10*time.Second // to look costs CPU, and guests need it
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
		b.declare(bootNew, 1, bootBroken)
		b.commit("a group whose mirror is not there")
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
	bootBroken      = "nodeGroups: [{name: broken, role: worker, nodeCount: 1, flavor: boot.worker, labels: {mirror_url: 'http://169.254.169.1:1/'}}]"
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

// bootWorld is the lab's, with machines that boot.
type bootWorld struct {
	*labWorld
	mirror       string // folder
	guestsBefore []string
	told         []string // figures
}

func (b *bootWorld) declare(kube string, workers int, more ...string) {
	b.Helper()
	b.write("template.yaml", bootTemplate)
	b.write("cluster.yaml", bootCluster(b.name, kube, workers, strings.Join(more, "")))
}

// daemon keeps the fleet until the test ends.
func (b *bootWorld) daemon() {
	b.Helper()
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(b.dir, "jeroboam"), "run", "--repo", "fleet.git", "--instance", b.name, "--state-dir", b.state)
	cmd.Dir, cmd.Stderr = b.dir, &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
		if err != nil || b.Failed() {
			b.Errorf("the daemon ended with %v, and had said\n%s", err, &log)
		}
	})
}

// inSync has the daemon look at what was committed, as a webhook would, until so
// many clusters are as it says.
func (b *bootWorld) inSync(clusters int) {
	b.Helper()
	head := strings.TrimSpace(b.git("-C", "fleet", "rev-parse", "HEAD"))
	held := 0 // looks one after the other: an API too slow to be asked holds a step for a moment
	b.until(fmt.Sprintf("%d clusters are in sync at %s", clusters, head), func() bool {
		cmd := exec.CommandContext(b.Context(), filepath.Join(b.dir, "jeroboam"), "sync", "-o", "json", "--repo", "fleet.git", "--instance", b.name, "--state-dir", b.state)
		cmd.Dir = b.dir
		out, err := cmd.Output()
		if held++; exitCode(err) != exitHeld {
			held = 0
		}
		if held == 30 {
			b.Fatalf("held: %s\n%s", out, b.jeroboam(exitHeld, "plan"))
		}
		var pass web.Synced
		return err == nil && json.Unmarshal(out, &pass) == nil && pass.Commit == head && pass.InSync == clusters && pass.Started+pass.Moving == 0
	})
}

func (b *bootWorld) kubeconfig() string { return filepath.Join(b.dir, "kubeconfig") }

// kubectl is the mirror's own.
func (b *bootWorld) kubectl(args ...string) string {
	b.Helper()
	out, err := b.try(args...)
	if err != nil {
		b.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (b *bootWorld) try(args ...string) (string, error) { return b.tell(b.Context(), "", args...) }

func (b *bootWorld) tell(ctx context.Context, stdin string, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 6*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, filepath.Join(b.mirror, bootNew, "amd64/bin/kubectl"), append([]string{"--kubeconfig", b.kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (b *bootWorld) apply(manifest string) {
	b.Helper()
	if out, err := b.tell(b.Context(), manifest, "apply", "-f", "-"); err != nil {
		b.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// nodesReady: so many, all Ready, schedulable and of the version.
func (b *bootWorld) nodesReady(kube string, count int) {
	b.Helper()
	b.until(fmt.Sprintf("%d nodes of %s are Ready", count, kube), func() bool {
		out, err := b.try("get", "nodes", "--no-headers")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return err == nil && len(lines) == count && !slices.ContainsFunc(lines, func(line string) bool {
			f := strings.Fields(line)
			return len(f) < 5 || f[1] != "Ready" || f[4] != kube
		})
	})
}

// podsRun: every pod of the system is ready.
func (b *bootWorld) podsRun() {
	b.Helper()
	b.until("all system pods run", func() bool {
		out, err := b.try("get", "pods", "-A", "--no-headers")
		return err == nil && out != "" && !slices.ContainsFunc(strings.Split(strings.TrimSpace(out), "\n"), func(line string) bool {
			f := strings.Fields(line)
			ready, all, _ := strings.Cut(f[2], "/")
			return f[3] != "Running" || ready != all
		})
	})
}

// members are etcd's: their ids, names and addresses. The mirror's etcdctl asks,
// with a certificate of the cluster's own authority.
func (b *bootWorld) members() string {
	b.Helper()
	keys, cert := filepath.Join(b.dir, "keys"), filepath.Join(b.dir, "etcd-client")
	if _, err := os.Stat(keys); err != nil {
		b.jeroboam(exitOK, "ca", "export", b.name, "--out", keys)
		b.run(exitOK, b.dir, "openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=story", "-keyout", cert+".key", "-out", cert+".csr")
		b.run(exitOK, b.dir, "openssl", "x509", "-req", "-in", cert+".csr", "-CA", keys+"/etcd/ca.crt", "-CAkey", keys+"/etcd/ca.key", "-CAcreateserial", "-days", "1", "-out", cert+".crt")
	}
	api := b.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
	host := regexp.MustCompile(`https://(.*):`).FindStringSubmatch(api)
	return b.run(exitOK, b.dir, filepath.Join(b.mirror, bootNew, "amd64/bin/etcdctl"), "--endpoints", "https://"+host[1]+":2379",
		"--insecure-skip-tls-verify", "--cert", cert+".crt", "--key", cert+".key", "member", "list")
}

// gather puts all pods of the deployment onto one worker, whose name it gives.
func (b *bootWorld) gather() string {
	b.Helper()
	var pods struct {
		Items []struct {
			Spec struct{ NodeName string }
		}
	}
	read := func() []string {
		if err := json.Unmarshal([]byte(b.kubectl("get", "pods", "-l", "app=held", "-o", "json")), &pods); err != nil {
			b.Fatal(err)
		}
		var on []string
		for _, p := range pods.Items {
			if !slices.Contains(on, p.Spec.NodeName) {
				on = append(on, p.Spec.NodeName)
			}
		}
		slices.Sort(on)
		return on
	}
	on := read()
	last := on[len(on)-1] // the last worker is the one that would go otherwise
	for other := range strings.FieldsSeq(b.kubectl("get", "nodes", "-l", "!node-role.kubernetes.io/control-plane", "-o", "jsonpath={.items[*].metadata.name}")) {
		if other != last {
			b.kubectl("drain", other, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s")
			b.kubectl("rollout", "status", "deployment/held", "--timeout=300s")
			b.kubectl("uncordon", other)
		}
	}
	if on = read(); len(on) != 1 {
		b.Fatalf("the pods are on %v", on)
	}
	return on[0]
}

// watch follows the pods of the workload until it is ended, and tells how few of
// them ran at a time. A pod runs while its container is ready and nobody has deleted
// it. Neither a deployment's count nor the pod's condition Ready is asked: both go
// when a node cannot tell that it is well, as while its only master boots, and the
// pod serves on. An informer knows what changed while the API was away.
func (b *bootWorld) watch() (end func() int) {
	b.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", b.kubeconfig())
	if err != nil {
		b.Fatal(err)
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		b.Fatal(err)
	}
	pods := cache.NewSharedInformer(cache.NewFilteredListWatchFromClient(set.CoreV1().RESTClient(), "pods", metav1.NamespaceDefault,
		func(o *metav1.ListOptions) { o.LabelSelector = "app=held" }), &corev1.Pod{}, 0)
	ctx, stop := context.WithCancel(b.Context())
	least, last := 1<<30, ""
	count := func() {
		var run, ready int
		var on []string
		for _, x := range pods.GetStore().List() {
			p := x.(*corev1.Pod)
			if p.DeletionTimestamp != nil || len(p.Status.ContainerStatuses) == 0 || !p.Status.ContainerStatuses[0].Ready {
				continue
			}
			run++
			on = append(on, p.Spec.NodeName[max(0, len(p.Spec.NodeName)-len("worker-0")):])
			if slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			}) {
				ready++
			}
		}
		slices.Sort(on)
		if now := fmt.Sprintf("%d pods run (on %s), of which the API counts %d", run, strings.Join(on, ", "), ready); now != last {
			b.Logf("%s %s", time.Now().UTC().Format(time.TimeOnly), now)
			last = now
		}
		least = min(least, run)
	}
	var done sync.WaitGroup
	done.Go(func() { pods.RunWithContext(ctx) })
	b.until("the pods are known", pods.HasSynced)
	seen, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{ // one event after the other
		AddFunc: func(any) { count() }, UpdateFunc: func(any, any) { count() }, DeleteFunc: func(any) { count() },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.until("they are counted", seen.HasSynced)
	return func() int {
		stop()
		done.Wait()
		return least
	}
}

// guests is what machines of the lab take of this one: processes, links, files.
func (b *bootWorld) guests() []string {
	b.Helper()
	var all []string
	for _, folder := range []string{"instances", "volumes"} {
		files, err := filepath.Glob(filepath.Join(labDir(), "boot", folder, "*"))
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, files...)
	}
	for line := range strings.Lines(b.run(exitOK, b.dir, "ip", "-n", "lab-boot", "-o", "link")) {
		all = append(all, "link "+strings.Split(line, ":")[1])
	}
	out, err := exec.CommandContext(b.Context(), "pgrep", "-a", "qemu-system").Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) { // it ends with 1 when there is none
		b.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.Join(strings.Fields(line)[:4], " "))
	}
	slices.Sort(all)
	return all
}

// labDir is the lab's state, as deploy/lab has it.
func labDir() string { return cmp.Or(os.Getenv("LAB_DIR"), "/var/lib/openstack-lab") }

// memory is what the guests take of the host.
func (b *bootWorld) memory() string {
	out, err := exec.CommandContext(b.Context(), "ps", "-C", "qemu-system-x86_64", "-o", "rss=").Output()
	if err != nil {
		return err.Error()
	}
	var all []string
	for kib := range strings.FieldsSeq(string(out)) {
		var n int
		if _, err := fmt.Sscan(kib, &n); err == nil {
			all = append(all, fmt.Sprintf("%d MiB", n/1024))
		}
	}
	return strings.Join(all, ", ")
}

// secretsLeft are Barbican's secrets and Keystone's credentials of the cluster.
func (b *bootWorld) secretsLeft() []string {
	b.Helper()
	var got struct{ Secrets []labRow }
	b.call(http.MethodGet, "key-manager", "/v1/secrets?limit=500", nil, &got)
	var left []string
	for _, r := range got.Secrets {
		if strings.Contains(r.Name, "/"+b.name+"-") {
			left = append(left, "secret "+r.Name)
		}
	}
	return left
}

func (b *bootWorld) logf(format string, args ...any) {
	b.told = append(b.told, fmt.Sprintf(format, args...))
	b.Logf(format, args...)
}
