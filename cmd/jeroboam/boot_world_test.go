package main

import (
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
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"jeroboam.io/jeroboam/cmd/internal/web"
)

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
	log, err := os.Create(filepath.Join(b.dir, "daemon.log")) // to be read while the story runs
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(b.dir, "jeroboam"), "run", "--repo", "fleet.git", "--instance", b.name, "--state-dir", b.state)
	cmd.Dir, cmd.Stderr = b.dir, log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait(), log.Close())
		if err != nil || b.Failed() {
			said, _ := os.ReadFile(log.Name())
			b.Errorf("the daemon ended with %v, and had said\n%s", err, said)
		}
	})
}

// breakMirror makes one below the mirror, for bootBroken, until the test ends: its
// kubelet is none, and not the one that its list has.
func (b *bootWorld) breakMirror() {
	b.Helper()
	broken := filepath.Join(b.mirror, "broken")
	folder := filepath.Join(broken, bootNew, "amd64")
	b.Cleanup(func() { _ = os.RemoveAll(broken) })
	if err := errors.Join(
		os.MkdirAll(filepath.Join(folder, "bin"), 0o755),
		os.WriteFile(filepath.Join(folder, "bin", "kubelet"), []byte("cut short"), 0o644),
		os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(strings.Repeat("0", 64)+"  bin/kubelet\n"), 0o644),
	); err != nil {
		b.Fatal(err)
	}
}

// sync has the daemon look at what was committed, as a webhook would.
func (b *bootWorld) sync() (web.Synced, error) {
	cmd := exec.CommandContext(b.Context(), filepath.Join(b.dir, "jeroboam"), "sync", "-o", "json", "--repo", "fleet.git", "--instance", b.name, "--state-dir", b.state)
	cmd.Dir = b.dir
	var pass web.Synced
	out, err := cmd.Output()
	return pass, errors.Join(err, json.Unmarshal(out, &pass))
}

// inSync waits until so many clusters are as the last commit says. While one moves
// by the status in Git, the daemon's own looks will do: each takes of what guests have.
func (b *bootWorld) inSync(clusters int) {
	b.Helper()
	head := strings.TrimSpace(b.git("-C", "fleet", "rev-parse", "HEAD"))
	asked, held := false, 0 // looks one after the other: an API too slow to be asked holds a step for a moment
	b.until(fmt.Sprintf("%d clusters are in sync at %s", clusters, head), func() bool {
		if asked && strings.Contains(b.summary(), "_IN_PROGRESS") {
			return false
		}
		pass, err := b.sync()
		asked = err == nil
		if held++; exitCode(err) != exitHeld {
			held = 0
		}
		if held == 100 {
			b.Fatalf("held: %+v\n%s", pass, b.jeroboam(exitHeld, "plan"))
		}
		return err == nil && pass.Commit == head && pass.InSync == clusters && pass.Started+pass.Moving == 0
	})
}

// summary counts clusters by status.
func (b *bootWorld) summary() string {
	b.Helper()
	return b.git("-C", "fleet.git", "show", "jeroboam-status/"+b.name+":summary.json")
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
