package openstack

import (
	"strings"
	"testing"
)

// FuzzClouds: no clouds.yaml makes a panic, an entry is complete or an error
// says what it lacks, and no YAML error repeats a password.
func FuzzClouds(f *testing.F) {
	const secret = "hunter22"
	for _, s := range []string{
		"", "clouds:", "clouds: []", "clouds: {a: }", "clouds: {a: {auth: [1]}}",
		"clouds: {a: {auth: {auth_url: http://x/v3/, username: u, password: hunter22, project_name: p}, verify: no}}",
		"clouds: {a: {auth: {auth_url: 'http://x:5/identity/v2.0', application_credential_id: i, application_credential_secret: hunter22}}}",
		"clouds: {a: {<<: &b {region_name: 1}, auth: {token: *hunter22}}}",
		"{\"clouds\": {\"a\": {\"auth_type\": \"v3token\", \"compute_endpoint_override\": 1}}}",
		"? [hunter22]\n: 1",
	} {
		f.Add(s, "a", "b")
	}
	f.Fuzz(func(t *testing.T, text, name, other string) {
		tree, err := parseYAML([]byte(text))
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("shows the secret: %v", err)
		}
		var e entry
		var cloud map[string]any
		if err == nil {
			cloud, _, err = pick("clouds.yaml", tree, name)
		}
		if err == nil {
			e, err = newEntry("here", merge(cloud, childOf(tree, other)))
		}
		switch {
		case err == nil && (!strings.HasSuffix(e.authURL, "/v3") || e.authType == "" || e.iface == ""):
			t.Errorf("incomplete: %+v", e)
		case err == nil:
			o := e.authOptions()
			if _, err := o.ToTokenV3CreateMap(nil); err != nil {
				t.Errorf("%+v makes no token request: %v", e, err)
			}
		}
	})
}
