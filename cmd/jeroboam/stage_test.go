package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/drivers/sim"
)

// stage is what one script plays on.
type stage struct {
	*testscript.TestScript // set before each command

	dir    string
	clock  *sim.ManualClock
	cloud  *sim.Cloud
	server *httptest.Server
	heard  wire         // what was sent to the cloud
	leaks  leaky        // what it says too much
	killAt atomic.Int64 // how many requests until the program is killed
	early  atomic.Bool  // that request is not carried out

	killAtWrite atomic.Int64 // as killAt, of writes to the state directory
	termAt      atomic.Int64 // as killAt: asked to end before that request is carried out
	asked       atomic.Bool  // to end
	pid         atomic.Int64 // of the daemon that killedrun has started
	asking      sync.WaitGroup
	killedBy    map[string]int // how often, by the name of the death; nil: it was not killedrun

	kills int
	alive map[string]string // what was there before: see lost
	token string            // of demo, for what is done by hand
	home  string            // URL of demo's project in Heat and the like, by service
	env   *testscript.Env
}

type stageKey struct{}

// setUp prepares the folder of a script: the repository with its work tree, the
// environment of a fresh machine, a configuration unless the script has its own.
func setUp(env *testscript.Env) error {
	s := &stage{dir: env.WorkDir, env: env, clock: sim.NewManualClock(time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC))}
	env.Values[stageKey{}] = s
	env.Vars = append(env.Vars,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org",
		"OS_CLIENT_CONFIG_FILE="+filepath.Join(s.dir, "clouds.yaml"),
		"GORACE=atexit_sleep_ms=0", // a program built with the race detector else sleeps for a second at its end
		clockFile+"="+filepath.Join(s.dir, "clock"),
		pidFile+"="+filepath.Join(s.dir, "pid"),
	)
	env.Defer(func() {
		if s.server != nil {
			s.server.Close()
		}
	})
	if err := s.writeClock(); err != nil {
		return err
	}
	for file, text := range map[string]string{"jeroboam.yaml": configText, "fleet/template.yaml": templateText} {
		if err := s.writeNew(file, text); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", "fleet.git"},
		{"init", "-q", "-b", "main", "fleet"},
		{"-C", "fleet", "remote", "add", "origin", filepath.Join(s.dir, "fleet.git")},
	} {
		git := exec.Command("git", args...)
		git.Dir, git.Env = s.dir, env.Vars
		if out, err := git.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", args, err, out)
		}
	}
	return nil
}

// writeNew writes a file unless the script has it.
func (s *stage) writeNew(file, text string) error {
	file = filepath.Join(s.dir, file)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

const configText = `apiVersion: jeroboam.io/v1alpha1
kind: Config
metadata: {name: test}
spec:
  instance: test
  repository: {url: fleet.git}
  stateDir: state
`

const templateText = `apiVersion: jeroboam.io/v1alpha1
kind: ClusterTemplate
metadata: {name: docker}
spec: {coe: docker, image: ubuntu-latest, flavor: m1.small, keypair: testkey, externalNetwork: public}
`

// cluster writes the document of a cluster of one node; more are lines of its
// spec, of which one that is given replaces the one that is there without.
func (s *stage) cluster(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: cluster NAME [LINE...]")
	}
	lines := args[1:]
	for _, line := range []string{"cloud: lab-demo", "template: docker", "nodeCount: 1"} {
		field, _, _ := strings.Cut(line, " ")
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, field) }) {
			lines = append(lines, line)
		}
	}
	text := fmt.Sprintf("apiVersion: jeroboam.io/v1alpha1\nkind: Cluster\nmetadata: {name: %s}\nspec:\n  %s\n", args[0], strings.Join(lines, "\n  "))
	return os.WriteFile(filepath.Join(s.dir, "fleet", args[0]+".yaml"), []byte(text), 0o600)
}

// startCloud starts the simulated OpenStack. With "wall" its clock is the
// machine's, and things take as little time as they can: Heat's times are whole
// seconds, so an update must take longer than one.
func (s *stage) startCloud(args []string) error {
	if s.server != nil {
		return errors.New("a script has one cloud")
	}
	o := sim.Options{Clock: s.clock, RuledServices: []string{"key-manager"}}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "wall":
			o.Clock, o.BuildTime, o.BootTime, o.DeleteTime = nil, 150*time.Millisecond, 600*time.Millisecond, 20*time.Millisecond
			if err := os.Remove(filepath.Join(s.dir, "clock")); err != nil {
				return err
			}
		case "roles":
			o.Roles = strings.Split(value, ",")
		case "appcredtrusts":
			o.AppCredTrusts = value == "true"
		case "maxstacks":
			n, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			o.MaxStacks = n
		default:
			return fmt.Errorf("sim has no option %q", name)
		}
	}
	s.cloud = sim.New(o)
	s.server = httptest.NewServer(http.HandlerFunc(s.answer))
	s.Setenv("simurl", s.server.URL)
	return os.WriteFile(filepath.Join(s.dir, "clouds.yaml"), fmt.Appendf(nil, cloudsText, s.server.URL), 0o600)
}

// cloudsText has a cloud with a password that is wrong besides the good ones.
const cloudsText = `clouds:
  lab-demo: {region_name: RegionOne, auth: {auth_url: "%[1]s/identity/v3", username: demo, password: sim, project_name: demo, user_domain_name: Default, project_domain_name: Default}}
  lab-demo2: {region_name: RegionOne, auth: {auth_url: "%[1]s/identity/v3", username: demo2, password: sim, project_name: demo2, user_domain_name: Default, project_domain_name: Default}}
  lab-wrong: {region_name: RegionOne, auth: {auth_url: "%[1]s/identity/v3", username: demo, password: not-the-password, project_name: demo, user_domain_name: Default, project_domain_name: Default}}
`

// answer is the cloud's, unless the program is killed at this request: then the
// cloud has done its work, and nobody is there to hear of it.
func (s *stage) answer(w http.ResponseWriter, r *http.Request) {
	if !s.listen(r) {
		panic(http.ErrAbortHandler)
	}
	s.serveUntilKilled(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.spill(w, r, s.cloud) }))
}

// serveUntilKilled serves a request of the program, or kills it.
func (s *stage) serveUntilKilled(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if s.termAt.Add(-1) == 0 {
		s.term()
	}
	if s.killAt.Add(-1) != 0 {
		h.ServeHTTP(w, r)
		return
	}
	if !s.early.Load() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	s.kill()
	panic(http.ErrAbortHandler)
}

// killed runs the program and kills it, as kill -9 does, at its first request,
// then at its second, and so on until it lives to its end.
func (s *stage) killed(args []string) error {
	both := len(args) > 0 && args[0] == "both"
	if both {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("usage: killed [both] PROGRAM [ARGUMENT...]")
	}
	defer s.killAt.Store(0)
	defer s.early.Store(false)
	for n := int64(1); n < maxKills; n++ {
		if both {
			s.early.Store(true)
			s.killAt.Store(n)
			if exitCode(s.Exec(args[0], args[1:]...)) == -1 {
				s.kills++
			}
			s.early.Store(false)
		}
		s.killAt.Store(n)
		switch code := exitCode(s.Exec(args[0], args[1:]...)); {
		case code == -1:
			s.kills++
			continue
		case n <= 3:
			return fmt.Errorf("it was killed %d times: that is no test", n-1)
		case code != exitOK:
			return fmt.Errorf("it lives to its end and exits with %d", code)
		}
		return nil
	}
	return fmt.Errorf("it was killed %d times and is still not done", maxKills)
}

// maxKills is more requests than a pass over a cluster has.
const maxKills = 30

func (s *stage) writeClock() error {
	return os.WriteFile(filepath.Join(s.dir, "clock"), []byte(s.clock.Now().Format(time.RFC3339)), 0o600)
}

func (s *stage) advance(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: advance SECONDS")
	}
	seconds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	s.clock.Advance(time.Duration(seconds) * time.Second)
	return s.writeClock()
}

func (s *stage) fault(args []string) error {
	if len(args) == 1 && args[0] == "clear" {
		s.cloud.ClearFaults()
		return nil
	}
	var f sim.Fault
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		var number int
		var err error
		switch name {
		case "times", "skip", "status":
			if number, err = strconv.Atoi(value); err != nil {
				return err
			}
		}
		switch name {
		case "service":
			f.Service = value
		case "method":
			f.Method = value
		case "path":
			f.PathRegexp = value
		case "times":
			f.Times = number
		case "skip":
			f.Skip = number
		case "status":
			f.Status = number
		case "body":
			f.Body = value
		case "drop":
			f.Drop = true
		case "afterwork":
			f.Drop, f.AfterWork = true, true
		case "truncate":
			f.TruncateJSON = true
		case "empty":
			f.EmptyList = true
		default:
			return fmt.Errorf("fault has no %q", name)
		}
	}
	s.cloud.Fault(f)
	return nil
}

func (s *stage) failBoot(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: failboot REGEXP REASON")
	}
	s.cloud.FailBoot(args[0], args[1], 0)
	return nil
}

func (s *stage) quota(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: quota RESOURCE N")
	}
	n, err := strconv.Atoi(args[1])
	if err == nil {
		s.cloud.SetQuota("demo", args[0], n)
	}
	return err
}

// sent are the requests of a method, or all that write but for tokens, or all.
func (s *stage) sent(what, part string) []string {
	var found []string
	for _, r := range s.cloud.Requests().Requests {
		write := r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasSuffix(r.Path, "/auth/tokens")
		if (what == "total" || what == "writes" && write || what == r.Method) && strings.Contains(r.Path, part) {
			found = append(found, fmt.Sprintf("%s %s %d", r.Method, r.Path, r.Status))
		}
	}
	return found
}

// api is what a person does by hand. The answer is printed.
func (s *stage) api(args []string) error {
	if len(args) < 3 || len(args) > 4 {
		return errors.New("usage: api METHOD SERVICE PATH [BODYFILE]")
	}
	var body []byte
	if len(args) == 4 {
		body = []byte(s.ReadFile(args[3]))
	}
	answer, err := s.call(args[0], args[1], args[2], body)
	if err == nil {
		_, err = s.Stdout().Write(answer)
	}
	return err
}

// call sends a request as demo, whose token is taken at the first.
func (s *stage) call(method, service, path string, body []byte) ([]byte, error) {
	if s.token == "" {
		header, answer, err := s.send(http.MethodPost, "/identity/v3/auth/tokens", []byte(`{"auth": {"identity": {"methods": ["password"], "password":
			{"user": {"name": "demo", "password": "sim", "domain": {"name": "Default"}}}}, "scope": {"project": {"name": "demo", "domain": {"name": "Default"}}}}}`))
		if err != nil {
			return nil, err
		}
		var got struct {
			Token struct{ Project, User struct{ ID string } }
		}
		if err := json.Unmarshal(answer, &got); err != nil {
			return nil, err
		}
		s.token, s.home = header.Get("X-Subject-Token"), got.Token.Project.ID
		s.Setenv("project", s.home)
		s.Setenv("user", got.Token.User.ID)
	}
	base, ok := map[string]string{
		"identity": "/identity/v3", "orchestration": "/orchestration/v1/" + s.home, "compute": "/compute/v2.1",
		"network": "/network/v2.0", "block-storage": "/block-storage/v3/" + s.home, "key-manager": "/key-manager/v1",
	}[service]
	if !ok {
		return nil, fmt.Errorf("there is no service %q", service)
	}
	_, answer, err := s.send(method, base+path, body)
	return answer, err
}

func (s *stage) send(method, path string, body []byte) (http.Header, []byte, error) {
	req, err := http.NewRequest(method, s.server.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Auth-Token", s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s\n%s", method, path, resp.Status, answer)
	}
	return resp.Header, answer, err
}

// lookup finds the one stack or server whose name matches.
// makeKeys keeps keys as the create of a cluster does.
func (s *stage) makeKeys(args []string) error {
	if len(args) == 0 || len(args) > 2 || len(args) == 2 && args[1] != "local" {
		return errors.New("usage: keys NAME [local]")
	}
	identity := sha256.Sum256([]byte("test\nlab-demo\n" + args[0]))
	stack := fmt.Sprintf("%s-%x", args[0], identity[:4])
	s.Setenv("stack", stack)
	keys, err := pki.New("lab-demo/"+args[0], 0, s.clock.Now(), rand.Reader)
	if err != nil {
		return err
	}
	files, err := keys.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if len(args) == 2 {
			if err := s.writeNew("state/keys/lab-demo/"+stack+"/"+f.Name, f.Text.Reveal()); err != nil {
				return err
			}
			continue
		}
		body, err := json.Marshal(map[string]string{"name": "jeroboam/test/" + stack + "/" + f.Name, "payload": f.Text.Reveal(), "payload_content_type": "text/plain"})
		if err != nil {
			return err
		}
		if _, err := s.call(http.MethodPost, "key-manager", "/secrets", body); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) lookup(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: lookup stack|server REGEXP")
	}
	service := map[string]string{"stack": "orchestration", "server": "compute"}[args[0]]
	text, err := s.call(http.MethodGet, service, "/"+args[0]+"s", nil)
	if err != nil {
		return err
	}
	var lists map[string]json.RawMessage
	var rows []struct {
		ID    string
		Name  string
		Stack string `json:"stack_name"`
	}
	if err := errors.Join(json.Unmarshal(text, &lists), json.Unmarshal(lists[args[0]+"s"], &rows)); err != nil {
		return err
	}
	name := regexp.MustCompile(args[1])
	var found []string
	for _, r := range rows {
		switch {
		case args[0] == "stack" && name.MatchString(r.Stack):
			found = append(found, r.Stack+"/"+r.ID)
		case args[0] == "server" && name.MatchString(r.Name):
			found = append(found, r.ID)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("%d %ss match %s: %v", len(found), args[0], args[1], found)
	}
	s.Setenv(args[0], found[0])
	return nil
}

// tamper updates the stack that was looked up as a person would who knows
// nothing of us: with an output more, or without our tags.
func (s *stage) tamper(args []string) error {
	if len(args) != 1 || args[0] != "template" && args[0] != "tags" {
		return errors.New("usage: tamper template|tags")
	}
	path := "/stacks/" + s.Getenv("stack")
	var root, files map[string]any
	var shown struct {
		Stack struct {
			Parameters map[string]string
			Tags       []string
		}
	}
	for below, to := range map[string]any{"": &shown, "/template": &root, "/files": &files} {
		text, err := s.call(http.MethodGet, "orchestration", path+below, nil)
		if err := errors.Join(err, json.Unmarshal(text, to)); err != nil {
			return err
		}
	}
	maps.DeleteFunc(shown.Stack.Parameters, func(name, _ string) bool { return strings.HasPrefix(name, "OS::") })
	body := map[string]any{"template": root, "files": files, "parameters": shown.Stack.Parameters}
	if args[0] == "template" {
		outputs, _ := root["outputs"].(map[string]any)
		outputs["by_hand"] = map[string]any{"value": "x"}
		body["tags"] = strings.Join(shown.Stack.Tags, ",")
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = s.call(http.MethodPut, "orchestration", path, text)
	return err
}

// appCred makes an application credential and a cloud that uses it.
func (s *stage) appCred(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: appcred CLOUD")
	}
	if _, err := s.call(http.MethodGet, "identity", "/auth/projects", nil); err != nil { // for $user
		return err
	}
	text, err := s.call(http.MethodPost, "identity", "/users/"+s.Getenv("user")+"/application_credentials",
		fmt.Appendf(nil, `{"application_credential": {"name": %q}}`, args[0]))
	if err != nil {
		return err
	}
	var made struct {
		Cred struct{ ID, Secret string } `json:"application_credential"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		return err
	}
	s.Setenv("credid", made.Cred.ID)
	s.Setenv("credsecret", made.Cred.Secret)
	clouds := s.ReadFile(filepath.Join(s.dir, "clouds.yaml")) + fmt.Sprintf("  %s: {region_name: RegionOne, auth_type: v3applicationcredential, auth: {auth_url: \"%s/identity/v3\", "+
		"application_credential_id: %q, application_credential_secret: %q}}\n", args[0], s.server.URL, made.Cred.ID, made.Cred.Secret)
	return os.WriteFile(filepath.Join(s.dir, "clouds.yaml"), []byte(clouds), 0o600)
}

// serveGit serves the repository over HTTP to those who know the token.
func (s *stage) serveGit(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: serve TOKEN")
	}
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return err
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=ada",
			"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, token, ok := r.BasicAuth(); !ok || token != args[0] {
			w.Header().Set("WWW-Authenticate", `Basic realm="fleet"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if strings.HasPrefix(r.UserAgent(), "git/") { // a person's
			backend.ServeHTTP(w, r)
			return
		}
		s.serveUntilKilled(w, r, backend)
	}))
	s.env.Defer(server.Close)
	s.Setenv("giturl", server.URL+"/fleet.git")
	return s.Exec("git", "-C", filepath.Join(s.dir, "fleet.git"), "config", "http.receivepack", "true")
}
