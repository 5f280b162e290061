package openstack_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
	"jeroboam.io/jeroboam/schema"
)

// The tests here run against a real OpenStack (deploy/lab) if JEROBOAM_LAB=1.

func lab(t *testing.T, cloud schema.CloudName, env map[string]string, readOnly bool) (*openstack.Cloud, error) {
	t.Helper()
	if os.Getenv("JEROBOAM_LAB") != "1" {
		t.Skip("needs the OpenStack of deploy/lab: JEROBOAM_LAB=1")
	}
	return openstack.Connect(t.Context(), openstack.Settings{
		Cloud: cloud, ReadOnly: readOnly,
		Getenv: func(k string) string {
			if env != nil {
				return env[k]
			}
			if k == "OS_CLIENT_CONFIG_FILE" {
				return "../../../deploy/lab/clouds.yaml"
			}
			return ""
		},
	})
}

func connectLab(t *testing.T, cloud schema.CloudName, env map[string]string) *openstack.Cloud {
	t.Helper()
	c, err := lab(t, cloud, env, false)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const labKeystone = "http://127.0.0.1:5000"

func TestLabPassword(t *testing.T) {
	c := connectLab(t, "lab-demo", nil)
	k := c.Token()
	if k.ProjectName != "demo" || k.UserName != "demo" || k.Region != "RegionOne" || k.AuthURL != labKeystone+"/v3" {
		t.Errorf("token says %+v", k)
	}
	if k.ProjectID == "" || k.UserID == "" || len(k.Roles) == 0 || time.Until(k.ExpiresAt) <= 0 {
		t.Errorf("token lacks something: %+v", k)
	}
}

func TestLabWrongPassword(t *testing.T) {
	_, err := lab(t, openstack.EnvCloud, map[string]string{
		"OS_AUTH_URL": labKeystone, "OS_USERNAME": "demo", "OS_PASSWORD": "wrong-password", "OS_PROJECT_NAME": "demo",
	}, false)
	wantKind(t, err, drivers.Denied)
	t.Log(err)
	if strings.Contains(err.Error(), "wrong-password") || !strings.Contains(err.Error(), "check username") {
		t.Errorf("got %q", err)
	}
}

func TestLabTokenAndApplicationCredential(t *testing.T) {
	c := connectLab(t, "lab-demo", nil)
	path := "/users/" + c.Token().UserID + "/application_credentials"
	var made struct {
		AC struct {
			ID, Name, Secret string
		} `json:"application_credential"`
	}
	body := map[string]any{"application_credential": map[string]any{"name": "jeroboam-test-" + strconv.FormatInt(time.Now().UnixNano(), 36)}}
	if err := c.Post(t.Context(), "identity", path, body, &made); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Delete(t.Context(), "identity", path+"/"+made.AC.ID, nil, nil); err != nil {
			t.Error(err)
		}
	}()
	for name, env := range map[string]map[string]string{
		"by id": {"OS_APPLICATION_CREDENTIAL_ID": made.AC.ID},
		"by name": {
			"OS_APPLICATION_CREDENTIAL_NAME": made.AC.Name, "OS_USERNAME": "demo", "OS_USER_DOMAIN_NAME": "Default",
			"OS_AUTH_TYPE": "v3applicationcredential",
		},
	} {
		env["OS_AUTH_URL"], env["OS_APPLICATION_CREDENTIAL_SECRET"] = labKeystone+"/v3", made.AC.Secret
		k := connectLab(t, openstack.EnvCloud, env).Token()
		if a := k.ApplicationCredential; a == nil || a.ID != made.AC.ID || a.Name != made.AC.Name || !a.Restricted || k.ProjectName != "demo" {
			t.Errorf("%s: token says %+v", name, k)
		}
	}
	// A restricted one makes no other.
	restricted := connectLab(t, openstack.EnvCloud, map[string]string{
		"OS_AUTH_URL": labKeystone, "OS_APPLICATION_CREDENTIAL_ID": made.AC.ID, "OS_APPLICATION_CREDENTIAL_SECRET": made.AC.Secret,
	})
	err := restricted.Post(t.Context(), "identity", path, body, nil)
	wantKind(t, err, drivers.Denied)
	t.Log(err)

	_, err = lab(t, openstack.EnvCloud, map[string]string{
		"OS_AUTH_URL": labKeystone, "OS_APPLICATION_CREDENTIAL_ID": made.AC.ID, "OS_APPLICATION_CREDENTIAL_SECRET": "not-the-secret",
	}, false)
	wantKind(t, err, drivers.Denied)
	t.Log(err)

	token := labToken(t)
	for name, env := range map[string]map[string]string{
		"as it is": {},
		"rescoped": {"OS_PROJECT_NAME": "demo"},
	} {
		env["OS_AUTH_URL"], env["OS_TOKEN"] = labKeystone, token
		c := connectLab(t, openstack.EnvCloud, env)
		if err := c.Get(t.Context(), "orchestration", "/stacks", nil, nil); err != nil || c.Token().ProjectName != "demo" {
			t.Errorf("token %s: %v, %+v", name, err, c.Token())
		}
	}
	_, err = lab(t, openstack.EnvCloud, map[string]string{"OS_AUTH_URL": labKeystone, "OS_TOKEN": "gAAAAABnonsense"}, false)
	wantKind(t, err, drivers.Denied)
	t.Log(err)
}

// labToken gets a token as any client would.
func labToken(t *testing.T) string {
	t.Helper()
	const body = `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo", "domain": {"id": "default"},
		"password": "lab"}}}, "scope": {"project": {"name": "demo", "domain": {"id": "default"}}}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, labKeystone+"/v3/auth/tokens", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get("X-Subject-Token")
}

// A credential with the role reader alone reads, and is denied what policy keeps
// for members.
func TestLabReader(t *testing.T) {
	c := connectLab(t, "lab-demo", nil)
	path := "/users/" + c.Token().UserID + "/application_credentials"
	var made struct {
		AC struct{ ID, Secret string } `json:"application_credential"`
	}
	body := map[string]any{"application_credential": map[string]any{
		"name": "jeroboam-test-" + strconv.FormatInt(time.Now().UnixNano(), 36), "roles": []any{map[string]any{"name": "reader"}},
	}}
	if err := c.Post(t.Context(), "identity", path, body, &made); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Delete(t.Context(), "identity", path+"/"+made.AC.ID, nil, nil); err != nil {
			t.Error(err)
		}
	}()
	reader := connectLab(t, openstack.EnvCloud, map[string]string{
		"OS_AUTH_URL": labKeystone, "OS_APPLICATION_CREDENTIAL_ID": made.AC.ID, "OS_APPLICATION_CREDENTIAL_SECRET": made.AC.Secret,
	})
	if roles := reader.Token().Roles; len(roles) != 1 || roles[0] != "reader" {
		t.Errorf("roles are %v", roles)
	}
	if err := reader.Get(t.Context(), "compute", "/servers", nil, nil); err != nil {
		t.Error(err)
	}
	if !reader.Has("key-manager") {
		return
	}
	err := reader.Post(t.Context(), "key-manager", "/secrets", map[string]any{"name": "x"}, nil)
	t.Log(err)
	wantKind(t, err, drivers.Denied)
}

func TestLabReadOnly(t *testing.T) {
	c, err := lab(t, "lab-demo", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), "orchestration", "/stacks", nil, nil); err != nil {
		t.Error(err)
	}
	wantKind(t, c.Post(t.Context(), "orchestration", "/stacks", map[string]any{}, nil), drivers.Denied)
}

// TestLabServices lists something of each service, and asks it for what it does
// not have, to see its own words for that.
func TestLabServices(t *testing.T) {
	c := connectLab(t, "lab-demo", nil)
	const gone = "00000000-1111-2222-3333-444444444444"
	for _, s := range []struct {
		service, list, key, item, says string
	}{
		{"orchestration", "/stacks", "stacks", "/stacks/" + gone, "could not be found"},
		{"compute", "/servers", "servers", "/servers/" + gone, "could not be found"},
		{"network", "/networks", "networks", "/networks/" + gone, "could not be found"},
		{"image", "/images", "images", "/images/" + gone, "No image found"},
		{"block-storage", "/volumes", "volumes", "/volumes/" + gone, "could not be found"},
		{"load-balancer", "/lbaas/loadbalancers", "loadbalancers", "/lbaas/loadbalancers/" + gone, "not found"},
		{"key-manager", "/secrets", "secrets", "/secrets/" + gone, "Not Found"},
		{"container-infra", "/clusters", "clusters", "/clusters/" + gone, "could not be found"},
		{"identity", "/auth/projects", "projects", "/projects/" + gone, ""},
	} {
		t.Run(s.service, func(t *testing.T) {
			if !c.Has(s.service) {
				t.Skip("the lab runs without it")
			}
			var list map[string]json.RawMessage
			if err := c.Get(t.Context(), s.service, s.list, url.Values{"limit": {"2"}}, &list); err != nil {
				t.Fatal(err)
			}
			if list[s.key] == nil {
				t.Errorf("no %q in %v", s.key, list)
			}
			err := c.Get(t.Context(), s.service, s.item, nil, nil)
			t.Log(err)
			if s.service == "identity" { // policy comes first
				wantKind(t, err, drivers.Denied)
				return
			}
			wantKind(t, err, drivers.NotFound)
			if !strings.Contains(err.Error(), s.says) {
				t.Errorf("got %q, want %q in it", err, s.says)
			}
			wantKind(t, c.Delete(t.Context(), s.service, s.item, nil, nil), drivers.NotFound)
		})
	}
}

// TestLabRefusals sends what services refuse and looks at the words.
func TestLabRefusals(t *testing.T) {
	c := connectLab(t, "lab-demo", nil)
	for _, s := range []struct {
		name, service, path string
		body                any
		want                drivers.Kind
	}{
		{"a template without a version", "orchestration", "/stacks", map[string]any{"stack_name": "x", "template": map[string]any{"a": 1}}, drivers.Rejected},
		{"a flavor that does not exist", "compute", "/servers", map[string]any{"server": map[string]any{"name": "x", "flavorRef": "nope", "imageRef": "nope", "networks": "none"}}, drivers.Rejected},
		{"a network of another project", "network", "/networks", map[string]any{"network": map[string]any{"provider:network_type": "vlan"}}, drivers.Denied},
		{"a volume without a size", "block-storage", "/volumes", map[string]any{"volume": map[string]any{}}, drivers.Rejected},
		{"a load balancer without an address", "load-balancer", "/lbaas/loadbalancers", map[string]any{"loadbalancer": map[string]any{}}, drivers.Rejected},
		{"a secret of no kind", "key-manager", "/secrets", map[string]any{"secret_type": "nope"}, drivers.Rejected},
		{"a cluster of no template", "container-infra", "/clusters", map[string]any{"cluster_template_id": "nope", "name": "x"}, drivers.Rejected},
		{"a user made by a member", "identity", "/users", map[string]any{"user": map[string]any{"name": "x"}}, drivers.Denied},
	} {
		t.Run(s.name, func(t *testing.T) {
			if !c.Has(s.service) {
				t.Skip("the lab runs without it")
			}
			err := c.Post(t.Context(), s.service, s.path, s.body, nil)
			t.Log(err)
			wantKind(t, err, s.want)
		})
	}
}

func TestLabMicroversion(t *testing.T) {
	c := connectLab(t, "lab-demo", nil)
	for _, s := range []struct{ service, path, version string }{
		{"compute", "/servers", "2.79"}, {"container-infra", "/clusters", "1.10"}, {"block-storage", "/volumes", "3.50"},
	} {
		if !c.Has(s.service) {
			continue
		}
		if err := c.Get(t.Context(), s.service, s.path, nil, nil, openstack.Microversion(s.version)); err != nil {
			t.Error(err)
		}
		err := c.Get(t.Context(), s.service, s.path, nil, nil, openstack.Microversion("99.1"))
		t.Log(err)
		if f := openstack.AsFault(err); f == nil || f.Status != http.StatusNotAcceptable {
			t.Errorf("%s takes version 99.1: %v", s.service, err)
		}
	}
}

// A stack asked for by id alone is a redirect to its full path.
func TestLabRedirect(t *testing.T) {
	c := connectLab(t, "lab-demo", nil)
	body := map[string]any{
		"stack_name": "jeroboam-test-" + strconv.FormatInt(time.Now().UnixNano(), 36),
		"template":   map[string]any{"heat_template_version": "2018-08-31"},
	}
	var made struct{ Stack struct{ ID string } }
	if err := c.Post(t.Context(), "orchestration", "/stacks", body, &made); err != nil {
		t.Fatal(err)
	}
	full := "/stacks/" + body["stack_name"].(string) + "/" + made.Stack.ID
	defer func() {
		if err := c.Delete(t.Context(), "orchestration", full, nil, nil); err != nil {
			t.Error(err)
		}
	}()
	var got struct{ Stack struct{ ID string } }
	if err := c.Get(t.Context(), "orchestration", "/stacks/"+made.Stack.ID, nil, &got); err != nil || got != made {
		t.Errorf("got %v, %v", got, err)
	}
	err := c.Delete(t.Context(), "orchestration", "/stacks/"+made.Stack.ID, nil, nil)
	t.Log(err)
	wantKind(t, err, drivers.Unknown)
	if err := c.Get(t.Context(), "orchestration", full, nil, &got); err != nil {
		t.Errorf("after a DELETE that was redirected: %v", err)
	}
}
