package reconcile_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/reconcile"
)

// secrets are what the machine of a test has: variables and files.
type secrets struct {
	env   map[string]string
	files fstest.MapFS
}

func (s secrets) reader() reconcile.SecretReader {
	return reconcile.SecretReader{
		Env:  func(name string) (string, bool) { v, ok := s.env[name]; return v, ok },
		File: func(path string) (fs.File, error) { return s.files.Open(strings.TrimPrefix(path, "/")) },
	}
}

// spy is a driver that notes the secrets it is given, and may answer as some
// clouds do: with what they were sent.
type spy struct {
	drivers.Driver
	mu      sync.Mutex
	got     map[string]string // cluster and label to text
	refuses bool
	repeats string // in the reasons of what is observed
}

func (s *spy) Apply(ctx context.Context, step diff.Step) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, secret := range step.To.SecretLabels {
		if text, ok := step.Want.SecretText(secret); ok {
			s.got[string(step.Cluster.Name)+" "+key] = text.Reveal()
		}
	}
	if s.refuses {
		return &drivers.Error{Kind: drivers.Rejected, Op: "create cluster", Err: fmt.Errorf("label is not valid: %v", s.got)}
	}
	return s.Driver.Apply(ctx, step)
}

func (s *spy) Observe(ctx context.Context) ([]diff.Observed, error) {
	have, err := s.Driver.Observe(ctx)
	for i := range have {
		if o := &have[i]; s.repeats != "" {
			o.Reason, o.Drift = "it said "+s.repeats, []diff.Drift{{Field: "parameters", Detail: "found " + s.repeats}}
		}
	}
	return have, err
}

// secretive is a world with secrets, whose driver is a spy and whose log is kept.
func secretive(t *testing.T, s secrets) (*world, *spy, *bytes.Buffer) {
	t.Helper()
	w, log := newWorld(t), &bytes.Buffer{}
	sp := &spy{got: map[string]string{}}
	w.r.Drivers = drivers.Registry{"heat": func(ctx context.Context, o drivers.Options) (drivers.Driver, error) {
		d, err := w.cloud.Open(ctx, o)
		sp.Driver = d
		return sp, err
	}}
	w.r.Secrets = s.reader()
	w.r.Log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.Lock(zapcore.AddSync(log)), zapcore.DebugLevel))
	return w, sp, log
}

// clean fails if a planted text is in what left the program.
func (w *world) clean(planted []string, reports []reconcile.Report, log *bytes.Buffer) {
	w.Helper()
	outputs := map[string]string{"log": log.String(), "messages": strings.Join(w.board.messages, "\n")}
	for i, r := range reports {
		plan, err := json.Marshal(r.Plan)
		if err != nil {
			w.Fatal(err)
		}
		outputs[fmt.Sprintf("report %d", i)] = fmt.Sprintf("%s\n%+v\n%#v", plan, r, r)
	}
	for path, text := range w.board.files {
		outputs[path] = string(text)
	}
	files := 0
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		outputs[path] = string(text)
		return err
	})
	if err != nil || files == 0 {
		w.Fatalf("state directory: %d files, %v", files, err)
	}
	have, err := json.Marshal(observed(w))
	if err != nil {
		w.Fatal(err)
	}
	outputs["cloud"] = string(have)
	for _, p := range planted {
		for _, form := range []string{p, hex.EncodeToString([]byte(p)), base64.StdEncoding.EncodeToString([]byte(p)), fmt.Sprintf("%d", []byte(p))} {
			for name, text := range outputs {
				if strings.Contains(text, form) {
					w.Errorf("%s has %q:\n%.3000s", name, form, text)
				}
			}
		}
	}
}

func observed(w *world) []diff.Observed {
	w.Helper()
	d, err := w.cloud.Open(w.Context(), drivers.Options{Cloud: "lab", Owner: "us"})
	if err != nil {
		w.Fatal(err)
	}
	have, err := d.Observe(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return have
}

// TestSecretsReachTheDriverAndNothingElse follows three of them, from a
// variable, a file and plain text in Git, through create, a new value, another
// name and a restart.
func TestSecretsReachTheDriverAndNothingElse(t *testing.T) {
	t.Parallel()
	planted := []string{"planted-in-env", "planted-in-file", "planted-in-git", "planted-anew"}
	machine := secrets{
		env:   map[string]string{"GRAFANA": planted[0]},
		files: fstest.MapFS{"run/zone": {Data: []byte(planted[1] + "\n"), Mode: 0o400}},
	}
	w, driver, log := secretive(t, machine)
	w.commit(
		"a.yaml", cluster("a", "secretLabels: {grafana_admin_passwd: {env: GRAFANA}, kube_tag: {file: /run/zone}}"),
		"b.yaml", cluster("b", "labels: {grafana_admin_passwd: "+planted[2]+"}"))
	reports := []reconcile.Report{w.run()}
	w.want(reports[0], "create lab/a; create lab/b")
	want := map[string]string{"a grafana_admin_passwd": planted[0], "a kube_tag": planted[1], "b grafana_admin_passwd": planted[2]}
	if fmt.Sprint(driver.got) != fmt.Sprint(want) {
		t.Errorf("the driver got %v, want %v", driver.got, want)
	}
	w.cloud.Tick()
	again := w.settle()
	if again.Plan.InSync != 2 {
		t.Errorf("what was made is not in sync: %s", steps(again))
	}
	if labels := string(w.board.files["status/lab/a.yaml"]); !strings.Contains(labels, "grafana_admin_passwd: (secret ") {
		t.Errorf("status does not show that there is a secret:\n%s", labels)
	}

	// Another name for the same value is nothing to do.
	machine.env["RENAMED"] = planted[0]
	w.commit("a.yaml", cluster("a", "secretLabels: {grafana_admin_passwd: {env: RENAMED}, kube_tag: {file: /run/zone}}"))
	w.want(w.run(), "")

	// Another value is a change.
	machine.env["RENAMED"] = planted[3]
	changed := w.run()
	w.want(changed, "update lab/a")
	c := changed.Plan.Steps[0].Changes[0]
	if c.Field != "secretLabels/grafana_admin_passwd" || !strings.HasPrefix(c.From, "(secret ") || !strings.HasPrefix(c.To, "(secret ") || c.From == c.To {
		t.Errorf("the change is shown as %+v", c)
	}
	if got := driver.got["a grafana_admin_passwd"]; got != planted[3] {
		t.Errorf("the driver got %q for the new value", got)
	}
	w.cloud.Tick()
	reports = append(reports, again, changed, w.settle())
	w.want(reports[3], "")
	w.clean(planted, reports, log)
}

// TestOneSecretOfManyIsDigestedOnce: a fleet does not wait for the same digest
// again and again.
func TestOneSecretOfManyIsDigestedOnce(t *testing.T) {
	t.Parallel()
	reads := 0
	w, _, _ := secretive(t, secrets{})
	w.r.Secrets.Env = func(string) (string, bool) { reads++; return "shared-by-all", true }
	files := []string{}
	for i := range 100 {
		name := fmt.Sprintf("c%d", i)
		files = append(files, name+".yaml", cluster(name, "secretLabels: {grafana_admin_passwd: {env: GRAFANA}}"))
	}
	w.commit(files...)
	digests := map[string]bool{}
	for _, s := range w.run().Plan.Steps {
		digests[s.To.SecretLabels["grafana_admin_passwd"].Digest] = true
	}
	if reads != 1 || len(digests) != 1 {
		t.Errorf("read %d times, %d digests", reads, len(digests))
	}
}

// TestUnreadableSecretsHoldTheirCluster says for each reason who can act; the
// neighbour is made.
func TestUnreadableSecretsHoldTheirCluster(t *testing.T) {
	t.Parallel()
	machine := secrets{
		env: map[string]string{"EMPTY": "", "BINARY": "\xff", "NUL": "planted\x00", "LARGE": strings.Repeat("planted", 10_000)},
		files: fstest.MapFS{
			"empty":       {Data: []byte("\n"), Mode: 0o600},
			"large":       {Data: bytes.Repeat([]byte("planted "), 8193), Mode: 0o600},
			"shared":      {Data: []byte("planted"), Mode: 0o602},
			"folder/file": {Data: []byte("planted"), Mode: 0o600},
			"pipe":        {Mode: 0o600 | fs.ModeNamedPipe},
		},
	}
	for _, c := range []struct{ reference, reason string }{
		{"{env: UNSET}", "environment variable UNSET is not set where jeroboam runs: set it there, or correct what refers to it"},
		{"{env: EMPTY}", "environment variable EMPTY is empty: give it the value"},
		{"{env: BINARY}", "environment variable BINARY is no text (UTF-8): encode the value"},
		{"{env: NUL}", "environment variable NUL is no text (UTF-8): encode the value"},
		{"{env: LARGE}", "environment variable LARGE has more than 65536 bytes: give it the value alone"},
		{"{file: /missing}", "file /missing is not there where jeroboam runs: put it there, or correct what refers to it"},
		{"{file: /empty}", "file /empty is empty: give it the value"},
		{"{file: /large}", "file /large has more than 65536 bytes: give it the value alone"},
		{"{file: /shared}", "file /shared may be written by everybody where jeroboam runs: take that right away (chmod o-w)"},
		{"{file: /folder}", "file /folder is no regular file (d---------): name the file itself"},
		{"{file: /pipe}", "file /pipe is no regular file (p---------): name the file itself"},
		{"{file: /forbidden}", "file /forbidden may not be read by the user that jeroboam runs as: give it the right"},
		{"{file: /broken}", "file /broken cannot be read: input/output error"},
	} {
		t.Run(c.reference, func(t *testing.T) {
			t.Parallel()
			w, _, log := secretive(t, machine)
			open := w.r.Secrets.File
			w.r.Secrets.File = func(path string) (fs.File, error) {
				switch path {
				case "/forbidden":
					return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
				case "/broken":
					return nil, errors.New("input/output error")
				}
				return open(path)
			}
			w.commit("a.yaml", cluster("a", "secretLabels: {kube_tag: "+c.reference+"}"), "b.yaml", cluster("b"))
			report := w.run()
			w.want(report, "create lab/a held by pre-flight; create lab/b")
			if want := "secretLabels/kube_tag (a.yaml:7:28): " + c.reason; report.Plan.Steps[0].Held.Reason != want {
				t.Errorf("held because\n%q, want\n%q", report.Plan.Steps[0].Held.Reason, want)
			}
			w.clean([]string{"planted"}, []reconcile.Report{report}, log)
		})
	}
}

// TestSecretFilesLoseOneNewline, and only one.
func TestSecretFilesLoseOneNewline(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a": "a", "a\n": "a", "a\r\n": "a", "a\n\n": "a\n", " a ": " a ", "a\r": "a\r",
		strings.Repeat("x", 65536) + "\n": strings.Repeat("x", 65536),
	} {
		w, driver, _ := secretive(t, secrets{files: fstest.MapFS{"f": {Data: []byte(text), Mode: 0o444}}})
		w.commit("a.yaml", cluster("a", "secretLabels: {kube_tag: {file: /f}}"))
		w.run()
		if got := driver.got["a kube_tag"]; got != want {
			t.Errorf("%.20q gives %.20q, want %.20q", text, got, want)
		}
	}
}

// TestALostSecretHoldsWhatRuns: nothing is done to a cluster whose secret has
// gone, not even what has nothing to do with it, and nothing is deleted. It goes
// on when the secret is back.
func TestALostSecretHoldsWhatRuns(t *testing.T) {
	t.Parallel()
	machine := secrets{env: map[string]string{"GRAFANA": "planted"}}
	w, _, log := secretive(t, machine)
	const secret = "secretLabels: {grafana_admin_passwd: {env: GRAFANA}}"
	w.commit("a.yaml", cluster("a", secret, "nodeCount: 2"), "b.yaml", cluster("b", "nodeCount: 2"))
	w.settle()
	delete(machine.env, "GRAFANA")
	w.commit("a.yaml", cluster("a", secret, "nodeCount: 1"), "b.yaml", cluster("b", "nodeCount: 1"))
	report := w.run()
	w.want(report, "update lab/a held by pre-flight; resize lab/a held by pre-flight; resize lab/b")
	if c := report.Plan.Steps[0].Changes[0]; !strings.HasPrefix(c.From, "(secret ") || c.To != "env GRAFANA (not read)" {
		t.Errorf("shown as %+v", c)
	}
	w.cloud.Tick()
	w.clusters("a", "b")
	w.clean([]string{"planted"}, []reconcile.Report{report}, log)
	machine.env["GRAFANA"] = "planted"
	w.want(w.run(), "resize lab/a")
}

// TestCloudsThatRepeatSecrets: neither their errors nor their reasons bring a
// secret out, and the kind of an error stays.
func TestCloudsThatRepeatSecrets(t *testing.T) {
	t.Parallel()
	w, driver, log := secretive(t, secrets{env: map[string]string{"A": "planted", "B": "planted-longer"}})
	w.commit("a.yaml", cluster("a", "secretLabels: {grafana_admin_passwd: {env: A}, kube_tag: {env: B}}"))
	driver.refuses = true
	refused := w.run()
	err := refused.Results[0].Err
	if want := "create cluster: label is not valid: map[a grafana_admin_passwd:(secret) a kube_tag:(secret)]"; err.Error() != want || drivers.KindOf(err) != drivers.Rejected {
		t.Errorf("got %v (%s), want %s", err, drivers.KindOf(err), want)
	}
	driver.refuses = false
	w.settle()
	driver.repeats = "planted-longer"
	repeated := w.run()
	if reason := repeated.Records[0].StatusReason; reason != "it said (secret)" {
		t.Errorf("reason %q", reason)
	}
	if fmt.Sprint(repeated.Plan.Drift[0].Drift) != "[{parameters found (secret)}]" {
		t.Errorf("drift %v", repeated.Plan.Drift)
	}
	w.clean([]string{"planted"}, []reconcile.Report{refused, repeated}, log)
}

// TestNothingIsReadWithoutAReader: a Reconciler that was not given one has no
// secrets.
func TestNothingIsReadWithoutAReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit("a.yaml", cluster("a", "secretLabels: {kube_tag: {env: PATH}}"), "b.yaml", cluster("b", "secretLabels: {kube_tag: {file: /etc/passwd}}"))
	w.want(w.run(), "create lab/a held by pre-flight; create lab/b held by pre-flight")
}

var _ drivers.Driver = (*spy)(nil)
