package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestLabStory is a cluster's whole life with the real binary, a bare Git
// repository and the OpenStack of deploy/lab: all that the script apply-story
// does in a simulated cloud, with a network, router, floating addresses and
// volumes of the cluster's own, and nothing left at the end. Without
// JEROBOAM_LAB there is none; make acceptance sets it and OS_CLIENT_CONFIG_FILE.
func TestLabStory(t *testing.T) {
	if os.Getenv("JEROBOAM_LAB") == "" {
		t.Skip("JEROBOAM_LAB is not set: the story needs deploy/lab up, see make acceptance")
	}
	l := newLab(t)
	l.chapter("create", func() {
		l.write("template.yaml", labTemplate)
		l.writeCluster("nodeCount: 2")
		l.commit("a cluster of two nodes")
		l.says(l.jeroboam(exitOK, "plan"), `(?m)^Plan: 1 to create$`)
		l.says(l.wait(), `(?m)^Apply: 1 started, 1 in sync$`)
		l.says(l.statusFile(), `status: CREATE_COMPLETE`, `node_count: 2`, `address: 172\.24\.`)
		if page := l.git("-C", "fleet.git", "show", "jeroboam-status/"+l.name+":README.md"); !strings.Contains(page, "1 complete.") {
			t.Errorf("page\n%s", page)
		}
		l.remember()
	})
	first := l.servers()
	l.chapter("resize", func() {
		l.writeCluster("nodeCount: 3")
		l.commit("three nodes")
		l.says(l.jeroboam(exitOK, "plan"), `resize lab-demo/\S+ group default-worker`, `nodeCount: +2 -> 3`)
		l.says(l.wait(), `(?m)^Apply: 1 started, 1 in sync$`)
		for name, id := range first {
			if now := l.servers()[name]; now != id {
				t.Errorf("the resize made server %s of node %s a new one, %s", id, name, now)
			}
		}
		l.remember()
	})
	l.chapter("upgrade in batches", func() {
		l.write("template.yaml", strings.Replace(labTemplate, "ubuntu-latest", "ubuntu-next", 1))
		l.commit("the next Ubuntu")
		for done := range 3 {
			l.says(l.jeroboam(exitOK, "plan"), fmt.Sprintf(`upgrade lab-demo/\S+ %d/3 `, done))
			l.says(l.jeroboam(exitOK, "apply"), `(?m)^started upgrade `)
			l.settled()
			l.remember()
		}
		l.says(l.wait(), `(?m)^Apply: nothing to start, 1 in sync$`)
		now := l.servers()
		for name, id := range first {
			if len(now) != 3 || now[name] == id {
				t.Errorf("after the upgrade the servers are %v, and were %v", now, first)
			}
		}
	})
	l.chapter("drift", func() {
		l.tamper(true)
		l.says(l.jeroboam(exitOK, "plan"), `Drift, which Git did not ask for:`, `template +differs in outputs\.by_hand`)
	})
	l.chapter("recover a server that somebody deleted, on a machine that lost its store", func() {
		var name string
		for name = range l.servers() {
			break
		}
		lost := l.servers()[name]
		l.call(http.MethodDelete, "compute", "/servers/"+lost, nil, nil)
		l.until("server "+lost+" is gone", func() bool {
			return !slices.ContainsFunc(l.list("compute", "servers"), func(r labRow) bool { return r.ID == lost })
		})
		l.state = "state-2"
		l.says(l.jeroboam(exitOK, "plan"), `(?m)^Plan: 1 to recover`, `server `+lost+` is gone: somebody deleted it`)
		l.says(l.wait(), `1 in sync`)
		if now := l.servers(); len(now) != 3 || now[name] == lost || now[name] == "" {
			t.Errorf("servers after the recover: %v", now)
		}
		l.remember()
	})
	l.chapter("adopt a stack whose tags somebody dropped", func() {
		l.tamper(false)
		l.says(l.jeroboam(exitOK, "plan"), `adopt lab-demo/`, `the tags that say whose cluster it is are gone`)
		l.says(l.wait(), `1 in sync`)
		if tags := l.stack().Tags; !slices.Contains(tags, "jeroboam.owner="+l.name) {
			t.Errorf("tags are %v", tags)
		}
	})
	l.chapter("delete in two commits", func() {
		l.writeCluster("nodeCount: 3", "deletionProtection: false")
		l.commit("it may go")
		l.says(l.wait(), `1 in sync`)
		if err := os.Remove(filepath.Join(l.dir, "fleet", "cluster.yaml")); err != nil {
			t.Fatal(err)
		}
		// The last cluster of a fleet needs a word more, which the plan of the work tree asks for.
		plan := l.jeroboam(exitHeld, "plan", "fleet")
		ack := regexp.MustCompile(`Jeroboam-Ack: empty-fleet [0-9a-f]{8}`).FindString(plan)
		l.commit("it goes\n\n" + ack)
		l.says(l.jeroboam(exitOK, "plan"), `- delete lab-demo/\S+ \[destructive\]`)
		l.says(l.wait(), `(?m)^started delete `)
		l.says(l.git("-C", "fleet.git", "show", "jeroboam-status/"+l.name+":README.md"), `no clusters`)
	})
	if left := l.left(); len(left) > 0 {
		t.Errorf("left in the cloud: %v", left)
	}
	if len(l.made) < 30 {
		t.Errorf("only %d things were seen to be made: too few to say that none is left", len(l.made))
	}
}

const labTemplate = `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: docker}
spec:
  coe: docker
  image: ubuntu-latest
  flavor: m1.tiny
  keypair: testkey
  externalNetwork: public
  dnsNameservers: [8.8.8.8]
  dockerVolumeSize: 1
`

// labWorld is the story's: a folder, a binary, a project, and a name for the
// cluster, its owner and the instance that nobody else has.
type labWorld struct {
	*testing.T
	dir, name, state string
	cloud            string
	token            string
	endpoints        map[string]string // by service type
	made             map[string]bool   // ids of everything that the stack was seen to have
	limit            time.Duration     // of one run of a program
	patience, pause  time.Duration     // with what takes its time, and between two looks at it
}

func newLab(t *testing.T) *labWorld {
	l := &labWorld{T: t, dir: t.TempDir(), name: fmt.Sprintf("story-%x", time.Now().UnixNano()&0xffffffff), state: "state", cloud: "lab-demo", made: map[string]bool{}, limit: 6 * time.Minute, patience: 3 * time.Minute, pause: time.Second}
	l.login()
	l.run(exitOK, ".", "go", "build", "-o", filepath.Join(l.dir, "jeroboam"), ".")
	l.git("init", "-q", "--bare", "-b", "main", "fleet.git")
	l.git("init", "-q", "-b", "main", "fleet")
	l.git("-C", "fleet", "remote", "add", "origin", "../fleet.git")
	t.Cleanup(l.cleanUp)
	return l
}

func (l *labWorld) chapter(title string, tell func()) {
	l.Helper()
	if l.Failed() {
		l.FailNow()
	}
	began := time.Now()
	tell()
	l.Logf("%6.1f s  %s", time.Since(began).Seconds(), title)
}

func (l *labWorld) write(file, text string) {
	l.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, "fleet", file), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

func (l *labWorld) writeCluster(lines ...string) {
	l.Helper()
	l.write("cluster.yaml", fmt.Sprintf("apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: %s}\nspec:\n  cloud: %s\n  template: docker\n  %s\n",
		l.name, l.cloud, strings.Join(lines, "\n  ")))
}

func (l *labWorld) commit(message string) {
	l.Helper()
	l.git("-C", "fleet", "add", "-A")
	l.git("-C", "fleet", "commit", "-q", "-m", message)
	l.git("-C", "fleet", "push", "-q", "origin", "HEAD:main")
}

func (l *labWorld) git(args ...string) string {
	l.Helper()
	return l.run(exitOK, l.dir, "git", args...)
}

// jeroboam runs the program, which ends with the code.
func (l *labWorld) jeroboam(code int, command string, args ...string) string {
	l.Helper()
	args = append([]string{command, "--repo", "fleet.git", "--instance", l.name, "--state-dir", l.state}, args...)
	return l.run(code, l.dir, filepath.Join(l.dir, "jeroboam"), args...)
}

func (l *labWorld) wait() string {
	l.Helper()
	return l.jeroboam(exitOK, "apply", "--wait", "--poll", "1s", "--timeout", "5m")
}

func (l *labWorld) run(code int, dir, program string, args ...string) string {
	l.Helper()
	ctx, stop := context.WithTimeout(l.Context(), l.limit)
	defer stop()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if have := exitCode(cmd.Run()); have != code {
		l.Fatalf("%s %s: exit code %d, want %d\n%s%s", filepath.Base(program), strings.Join(args, " "), have, code, &stdout, &stderr)
	}
	return stdout.String()
}

func (l *labWorld) says(text string, want ...string) {
	l.Helper()
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(text) {
			l.Errorf("want %q in\n%s", w, text)
		}
	}
}

func (l *labWorld) statusFile() string {
	l.Helper()
	return l.git("-C", "fleet.git", "show", "jeroboam-status/"+l.name+":status/"+l.cloud+"/"+l.name+".yaml")
}

// servers are those of the record, by node.
func (l *labWorld) servers() map[string]string {
	l.Helper()
	var record struct {
		Groups []struct {
			Nodes []struct{ Name, Server string }
		} `json:"node_groups"`
	}
	if err := json.Unmarshal([]byte(l.jeroboam(exitOK, "status", l.name, "-o", "json")), &record); err != nil {
		l.Fatal(err)
	}
	servers := map[string]string{}
	for _, g := range record.Groups {
		for _, n := range g.Nodes {
			servers[n.Name] = n.Server
		}
	}
	if len(servers) == 0 {
		l.Fatal("the record has no nodes")
	}
	return servers
}

// login takes the token of lab-demo, as clouds.yaml has it.
func (l *labWorld) login() {
	l.Helper()
	var file struct {
		Clouds map[string]struct {
			Auth map[string]string `json:"auth"`
		} `json:"clouds"`
	}
	text, err := os.ReadFile(os.Getenv("OS_CLIENT_CONFIG_FILE"))
	if err := errors.Join(err, yaml.Unmarshal(text, &file)); err != nil {
		l.Fatal(err)
	}
	a := file.Clouds["lab-demo"].Auth
	domain := map[string]any{"name": "Default"}
	body := map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{"user": map[string]any{"name": a["username"], "password": a["password"], "domain": domain}}},
		"scope":    map[string]any{"project": map[string]any{"name": a["project_name"], "domain": domain}},
	}}
	l.endpoints = map[string]string{"identity": strings.TrimSuffix(a["auth_url"], "/v3") + "/v3"}
	var got struct {
		Token struct {
			Catalog []struct {
				Type      string
				Endpoints []struct{ Interface, URL string }
			}
		}
	}
	l.token = l.call(http.MethodPost, "identity", "/auth/tokens", body, &got).Get("X-Subject-Token")
	for _, service := range got.Token.Catalog {
		for _, e := range service.Endpoints {
			if e.Interface == "public" {
				l.endpoints[service.Type] = strings.TrimRight(e.URL, "/")
			}
		}
	}
	if !strings.HasSuffix(l.endpoints["network"], "/v2.0") {
		l.endpoints["network"] += "/v2.0"
	}
}

func (l *labWorld) call(method, service, path string, body, out any) http.Header {
	l.Helper()
	header, err := l.send(l.Context(), method, service, path, body, out)
	if err != nil {
		l.Fatal(err)
	}
	return header
}

func (l *labWorld) send(ctx context.Context, method, service, path string, body, out any) (http.Header, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, l.endpoints[service]+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", l.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: %s\n%s", method, req.URL, resp.Status, answer)
	case out != nil:
		err = json.Unmarshal(answer, out)
	}
	return resp.Header, err
}

type labStack struct {
	ID         string
	Name       string `json:"stack_name"`
	Status     string `json:"stack_status"`
	Tags       []string
	Parameters map[string]string
}

func (s labStack) path() string { return "/stacks/" + s.Name + "/" + s.ID }

// stacks are those of the story's cluster that are there. Heat lists one for a
// moment more when its delete is complete.
func (l *labWorld) stacks(ctx context.Context) ([]labStack, error) {
	var list struct{ Stacks []labStack }
	_, err := l.send(ctx, http.MethodGet, "orchestration", "/stacks?limit=1000", nil, &list)
	return slices.DeleteFunc(list.Stacks, func(s labStack) bool {
		return !strings.HasPrefix(s.Name, l.name+"-") || s.Status == "DELETE_COMPLETE"
	}), err
}

// stack is the one there must be, in detail.
func (l *labWorld) stack() labStack {
	l.Helper()
	all, err := l.stacks(l.Context())
	if err != nil || len(all) != 1 {
		l.Fatalf("stacks %v, %v; want one", all, err)
	}
	var got struct{ Stack labStack }
	l.call(http.MethodGet, "orchestration", all[0].path(), nil, &got)
	return got.Stack
}

func (l *labWorld) until(what string, is func() bool) {
	l.Helper()
	for began := time.Now(); time.Since(began) < l.patience; {
		if is() {
			return
		}
		select {
		case <-time.After(l.pause):
		case <-l.Context().Done():
			l.Fatal(l.Context().Err())
		}
	}
	l.Fatalf("not within %s: %s", l.patience, what)
}

func (l *labWorld) settled() {
	l.Helper()
	l.until("the stack has settled", func() bool { return !strings.HasSuffix(l.stack().Status, "_IN_PROGRESS") })
}

// tamper updates the stack as somebody does who knows nothing of us: with an
// output more, or with nothing changed and without tags.
func (l *labWorld) tamper(template bool) {
	l.Helper()
	s := l.stack()
	var root, files map[string]any
	l.call(http.MethodGet, "orchestration", s.path()+"/template", nil, &root)
	l.call(http.MethodGet, "orchestration", s.path()+"/files", nil, &files)
	maps.DeleteFunc(s.Parameters, func(name, _ string) bool { return strings.HasPrefix(name, "OS::") })
	body := map[string]any{"template": root, "files": files, "parameters": s.Parameters}
	if template {
		root["outputs"].(map[string]any)["by_hand"] = map[string]any{"value": "x"}
		body["tags"] = strings.Join(s.Tags, ",")
	}
	l.call(http.MethodPut, "orchestration", s.path(), body, nil)
	l.settled()
}

// remember notes the ids of all that the stack has now.
func (l *labWorld) remember() {
	l.Helper()
	var got struct {
		Resources []struct {
			Type string `json:"resource_type"`
			ID   string `json:"physical_resource_id"`
		}
	}
	l.call(http.MethodGet, "orchestration", l.stack().path()+"/resources?nested_depth=2", nil, &got)
	for _, r := range got.Resources {
		if r.ID != "" {
			l.made[r.ID] = true
		}
	}
}

type labRow struct{ ID, Name string }

func (l *labWorld) list(service, path string) []labRow {
	l.Helper()
	var got map[string]json.RawMessage
	l.call(http.MethodGet, service, "/"+path, nil, &got)
	var rows []labRow
	if err := json.Unmarshal(got[strings.ReplaceAll(path, "-", "_")], &rows); err != nil {
		l.Fatal(err)
	}
	return rows
}

// left is what the services still have of what the stack had, or of its name.
func (l *labWorld) left() []string {
	l.Helper()
	var left []string
	if stacks, err := l.stacks(l.Context()); err != nil || len(stacks) > 0 {
		left = append(left, fmt.Sprintf("stacks %v %v", stacks, err))
	}
	for service, keys := range map[string][]string{
		"compute":       {"servers"},
		"network":       {"networks", "subnets", "routers", "ports", "floatingips", "security-groups"},
		"block-storage": {"volumes"},
	} {
		for _, key := range keys {
			for _, r := range l.list(service, key) {
				if l.made[r.ID] || strings.HasPrefix(r.Name, l.name) {
					left = append(left, key+" "+r.ID+" "+r.Name)
				}
			}
		}
	}
	return left
}

// cleanUp deletes what a story that failed has left.
func (l *labWorld) cleanUp() {
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Minute)
	defer stop()
	for ctx.Err() == nil {
		stacks, err := l.stacks(ctx)
		if err == nil && len(stacks) == 0 {
			return
		}
		for _, s := range stacks {
			if s.Status != "DELETE_IN_PROGRESS" {
				_, err = l.send(ctx, http.MethodDelete, "orchestration", s.path(), nil, nil)
			}
		}
		if err != nil {
			l.Logf("clean up: %v", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	l.Errorf("clean up: stacks of %s are still there", l.name)
}
