package openstack_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/internal/openstack"
)

// What services answer, in their own forms, and who can act on it.
func TestFaults(t *testing.T) {
	t.Parallel()
	const (
		deny, reject, conflict = drivers.Denied, drivers.Rejected, drivers.Conflict
		gone, transient        = drivers.NotFound, drivers.Transient
	)
	for name, tt := range map[string]struct {
		method, service, path string
		status                int
		body                  string
		kind                  drivers.Kind
		want                  string // of the fault
	}{
		"keystone policy": {"POST", "identity", "/users", 403, `{"error": {"code": 403, "message": "not authorized: identity:create_user", "title": "Forbidden"}}`, deny, "403 Forbidden: not authorized: identity:create_user"},
		"heat missing": {
			"GET", "orchestration", "/stacks/x", 404, `{"explanation": "The resource could not be found.", "code": 404,
			"error": {"message": "The Stack (x) could not be found.", "traceback": null, "type": "EntityNotFound"}, "title": "Not Found"}`,
			gone, "404 EntityNotFound: The Stack (x) could not be found.",
		},
		"heat validation":        {"POST", "orchestration", "/stacks", 400, `{"explanation": "e", "error": {"message": ": resources.a: Property error", "type": "StackValidationFailed"}}`, reject, "400 StackValidationFailed: : resources.a: Property error"},
		"heat without a message": {"POST", "orchestration", "/stacks", 400, `{"explanation": "The server could not comply", "error": {"message": null, "type": "X"}}`, reject, "400 Bad Request: The server could not comply"},
		"heat busy":              {"PUT", "orchestration", "/stacks/x/1", 409, `{"error": {"message": "already has an action (UPDATE) in progress.", "type": "ActionInProgress"}}`, conflict, "409 ActionInProgress: already has an action (UPDATE) in progress."},
		"heat too many":          {"POST", "orchestration", "/stacks", 403, `{"error": {"message": "You have reached the maximum stacks per tenant, 512.", "type": "RequestLimitExceeded"}}`, reject, "403 RequestLimitExceeded: You have reached the maximum stacks per tenant, 512."},
		"heat internal":          {"POST", "orchestration", "/stacks", 500, `{"error": {"message": "Internal Error", "type": "Forbidden"}}`, transient, "500 Forbidden: Internal Error"},
		"nova bad":               {"POST", "compute", "/servers", 400, `{"badRequest": {"code": 400, "message": "Invalid key_name provided."}}`, reject, "400 Bad Request: Invalid key_name provided."},
		"nova policy":            {"POST", "compute", "/servers", 403, `{"forbidden": {"code": 403, "message": "Policy doesn't allow os_compute_api:servers:create to be performed."}}`, deny, "403 Forbidden: Policy doesn't allow os_compute_api:servers:create to be performed."},
		"nova quota":             {"POST", "compute", "/servers", 403, `{"forbidden": {"code": 403, "message": "Quota exceeded for cores: Requested 8, but already used 16 of 20 cores"}}`, reject, "403 Forbidden: Quota exceeded for cores: Requested 8, but already used 16 of 20 cores"},
		"nova action, gone":      {"POST", "compute", "/servers/1/action", 404, `{"itemNotFound": {"code": 404, "message": "Instance 1 could not be found."}}`, gone, "404 Not Found: Instance 1 could not be found."},
		"neutron quota":          {"POST", "network", "/ports", 409, `{"NeutronError": {"type": "OverQuota", "message": "Quota exceeded for resources: ['port'].", "detail": ""}}`, reject, "409 OverQuota: Quota exceeded for resources: ['port']."},
		"neutron in use":         {"DELETE", "network", "/subnets/1", 409, `{"NeutronError": {"type": "SubnetInUse", "message": "One or more ports have an IP.", "detail": ""}}`, conflict, "409 SubnetInUse: One or more ports have an IP."},
		"neutron old":            {"POST", "network", "/ports", 404, `{"NeutronError": "Network n could not be found"}`, reject, "404 Not Found: Network n could not be found"},
		"glance html": {
			"GET", "image", "/images/x", 404, "<html>\n <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n  No image found with ID x<br /><br />\n\n\n </body>\n</html>",
			gone, "404 Not Found: No image found with ID x",
		},
		"glance json":     {"GET", "image", "/images/x", 404, `{"message": "No image found<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"}`, gone, "404 Not Found: No image found"},
		"octavia":         {"DELETE", "network", "/lbaas/loadbalancers/1", 409, `{"faultcode": "Client", "faultstring": "Load Balancer 1 is immutable and cannot be updated.", "debuginfo": null}`, conflict, "409 Conflict: Load Balancer 1 is immutable and cannot be updated."},
		"octavia quota":   {"POST", "network", "/lbaas/loadbalancers", 403, `{"faultcode": "Client", "faultstring": "Quota has been met for resources: Load Balancer", "debuginfo": null}`, reject, "403 Forbidden: Quota has been met for resources: Load Balancer"},
		"octavia missing": {"POST", "network", "/lbaas/listeners", 404, `{"faultstring": "Load Balancer 1 not found."}`, reject, "404 Not Found: Load Balancer 1 not found."},
		"magnum":          {"GET", "container-infra", "/clusters/x", 404, `{"errors": [{"request_id": "", "code": "client", "status": 404, "title": "Cluster x could not be found", "detail": "Cluster x could not be found.", "links": []}]}`, gone, "404 Not Found: Cluster x could not be found."},
		"magnum limit":    {"POST", "container-infra", "/clusters", 403, `{"errors": [{"detail": "You have reached the maximum clusters per project, 20. You may delete a cluster to make room for a new one."}]}`, reject, "403 Forbidden: You have reached the maximum clusters per project, 20. You may delete a cluster to make room for a new one."},
		"barbican":        {"POST", "image", "/secrets", 403, `{"code": 403, "title": "Forbidden", "description": "Quota reached for project p. Only 5 secrets are allowed."}`, reject, "403 Forbidden: Quota reached for project p. Only 5 secrets are allowed."},
		"cinder quota":    {"POST", "block-storage", "/volumes", 413, `{"overLimit": {"code": 413, "message": "VolumeSizeExceedsAvailableQuota", "retryAfter": "0"}}`, reject, "413 Request Entity Too Large: VolumeSizeExceedsAvailableQuota"},
		"plain text":      {"GET", "compute", "/x", 405, "405 Method Not Allowed\n\nsorry", drivers.Unknown, "405 Method Not Allowed: 405 Method Not Allowed\nsorry"},
		"nothing":         {"GET", "compute", "/x", 501, ``, transient, "501 Not Implemented"},
		"gone for good":   {"DELETE", "compute", "/x", 410, ``, gone, "410 Gone"},
		"precondition":    {"PUT", "compute", "/x", 412, ``, conflict, "412 Precondition Failed"},
		"angle brackets":  {"POST", "compute", "/servers", 400, `{"badRequest": {"message": "must be <class 'int'>"}}`, reject, "400 Bad Request: must be <class 'int'>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t)
			cl := connect(t, c.settings())
			c.answer(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Openstack-Request-Id", "req-9")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			err := send(t, cl, tt.method, tt.service, tt.path)
			wantKind(t, err, tt.kind)
			f := openstack.AsFault(err)
			if f == nil || f.Status != tt.status || f.Error() != tt.want {
				t.Errorf("fault is %v, want %s", f, tt.want)
			}
			wantText(t, err, strings.ToLower(tt.method)+" "+tt.service+" "+tt.path+": ", "(request req-9)")
		})
	}
}

func send(t *testing.T, cl *openstack.Cloud, method, service, path string) error {
	t.Helper()
	switch method {
	case "GET":
		return cl.Get(t.Context(), service, path, nil, nil)
	case "POST":
		return cl.Post(t.Context(), service, path, 1, nil)
	case "PUT":
		return cl.Put(t.Context(), service, path, 1, nil)
	}
	return cl.Delete(t.Context(), service, path, nil, nil)
}

// A service that repeats what it was sent does not get our secrets into a text.
func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	c.answer(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "bad: correct horse, "+r.Header.Get("X-Auth-Token")+
			`, {"password": "swordfish1", "adminPassword":"swordfish2", "client_secret" : 'swordfish3'}, X-Auth-Token: swordfish4`+
			`, token gAAAAABswordfish5swordfish5swordfish5, url?Signature=swordfish6&x=1, "-----BEGIN RSA PRIVATE KEY-----\nswordfish7\n-----END RSA PRIVATE KEY-----", the rest`)
	})
	err := cl.Post(t.Context(), "compute", "/servers", 1, nil)
	for _, secret := range []string{"correct horse", "token-number", "swordfish"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q shows %q", err, secret)
		}
	}
	wantText(t, err, "bad: ***, ***", `"password": "***"`, "x=1, \"***\", the rest")
}

// What is left of a secret where a text begins, or is cut off, is masked as well;
// digests and paths stay.
func TestPartsOfSecretsAreMasked(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	const (
		line   = "b2NzY0dGJhc2U2NGtleTEyMzQ1Njc4OTBhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d"
		digest = "9fb4f36f7cbbd6524cc774f7037636432ed7575edbd563df86d109b46b640684"
		path   = "/orchestration/v1/8d0c4b1f8d4e4c5b1a2ad9d0c4b1f8d4/stacks/web"
	)
	for _, text := range []string{
		"x/" + line + "\n" + line + "\n-----END EC PRIVATE KEY-----",
		strings.Repeat("x ", 996) + "correct horse",
	} {
		c.answer(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, digest+" "+path+" "+text)
		})
		err := cl.Post(t.Context(), "compute", "/servers", 1, nil)
		for _, part := range []string{line[:20], line[40:], "correct"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%q is in %q", part, err)
			}
		}
		wantText(t, err, digest, path)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	cl := connect(t, c.settings())
	for _, unit := range []string{"ä", "\xe4 ", "<", "<a "} {
		c.answer(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, "x"+strings.Repeat(unit, 3_000_000))
		})
		f := openstack.AsFault(cl.Post(t.Context(), "compute", "/servers", 1, nil))
		if f == nil || len(f.Text) > 2010 || len(f.Text) < 1990 || !strings.HasSuffix(f.Text, "...") {
			t.Errorf("%q gives a text of %d bytes", unit, len(f.Text))
		}
	}
}
