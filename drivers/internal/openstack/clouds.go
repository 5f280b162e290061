package openstack

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/schema"
)

// entry is one cloud's settings: an entry of clouds.yaml with secure.yaml merged
// over it, or the OS_* variables in the same shape.
type entry struct {
	from      string // where it was found, for error texts
	authURL   string // with /v3, no trailing slash
	authType  string // password, token or v3applicationcredential
	auth      map[string]string
	region    string
	iface     string // public, internal or admin
	verify    bool
	cacert    string
	cert, key string
	overrides map[string]string // endpoint by service type of the catalog
}

// findEntry gives the settings of a cloud. Its errors are for whoever keeps
// clouds.yaml: they name the files and, for an unknown cloud, the nearest one.
func findEntry(name schema.CloudName, getenv func(string) string) (entry, error) {
	if name == EnvCloud {
		return newEntry("the OS_* environment variables", envTree(getenv))
	}
	file, tree, err := firstFile(configFiles(getenv))
	if err != nil {
		return entry{}, err
	}
	cloud, from, err := pick(file, tree, string(name))
	if err != nil {
		return entry{}, err
	}
	secure, tree, err := firstFile(secureFiles(getenv, file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return entry{}, err
	}
	if over, ok := child(childOf(tree, "clouds"), string(name)); ok {
		cloud = merge(cloud, over)
		from += " with " + secure
	}
	return newEntry(from, cloud)
}

// pick takes one entry out of a parsed clouds.yaml.
func pick(file string, tree map[string]any, name string) (map[string]any, string, error) {
	clouds := childOf(tree, "clouds")
	if len(clouds) == 0 {
		return nil, "", fmt.Errorf("%s has no clouds", file)
	}
	cloud, ok := child(clouds, name)
	if ok {
		return cloud, fmt.Sprintf("cloud %q of %s", name, file), nil
	}
	names := slices.Sorted(maps.Keys(clouds))
	if near := nearest(name, names); near != "" {
		return nil, "", fmt.Errorf("no cloud %q in %s; did you mean %q?", name, file, near)
	}
	return nil, "", fmt.Errorf("no cloud %q in %s; it has %s", name, file, strings.Join(names, ", "))
}

// configFiles lists where clouds.yaml may be, in openstacksdk's order. A file
// that the environment names is the only candidate: falling through to another
// one would mean another cloud of the same name.
func configFiles(getenv func(string) string) []string {
	if f := getenv("OS_CLIENT_CONFIG_FILE"); f != "" {
		return []string{f}
	}
	return inFolders("clouds", ".", userFolder(getenv), "/etc/openstack")
}

// secureFiles lists where secure.yaml may be: as the environment says, else
// beside clouds.yaml, else where clouds.yaml is looked for.
func secureFiles(getenv func(string) string, config string) []string {
	if f := getenv("OS_CLIENT_SECURE_FILE"); f != "" {
		return []string{f}
	}
	return inFolders("secure", filepath.Dir(config), ".", userFolder(getenv), "/etc/openstack")
}

func userFolder(getenv func(string) string) string {
	base := getenv("XDG_CONFIG_HOME")
	if base == "" && getenv("HOME") != "" {
		base = filepath.Join(getenv("HOME"), ".config")
	}
	if base == "" {
		return ""
	}
	return filepath.Join(base, "openstack")
}

func inFolders(name string, folders ...string) []string {
	var files []string
	for _, f := range folders {
		if f == "" {
			continue
		}
		for _, ext := range []string{".yaml", ".yml", ".json"} {
			files = append(files, filepath.Join(f, name+ext))
		}
	}
	return files
}

// firstFile parses the first file that exists.
func firstFile(files []string) (string, map[string]any, error) {
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		tree, err := parseYAML(b)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", f, err)
		}
		return f, tree, nil
	}
	return "", nil, fmt.Errorf("found none of %s: %w", strings.Join(files, ", "), fs.ErrNotExist)
}

// parseYAML gives a document as maps. It is not strict about doubled keys: the
// strict mode takes a key beside "<<" for one.
func parseYAML(b []byte) (map[string]any, error) {
	var tree any
	if err := yaml.Unmarshal(b, &tree); err != nil {
		return nil, errors.New(quoted.ReplaceAllString(err.Error(), "(not shown)"))
	}
	m, ok := tree.(map[string]any)
	if !ok {
		return nil, errors.New("must be a mapping with the key clouds")
	}
	return m, nil
}

// quoted is what YAML errors repeat of the file, which holds secrets. They name
// the line all the same.
var quoted = regexp.MustCompile("(?s)map\\[.*|'.*'|\".*\"|`.*`")

// envTree gives the OS_* variables in the shape of a clouds.yaml entry.
func envTree(getenv func(string) string) map[string]any {
	auth := map[string]any{}
	for key, names := range envAuth() {
		if v := firstEnv(getenv, names); v != "" {
			auth[key] = v
		}
	}
	tree := map[string]any{"auth": auth}
	for key, names := range map[string][]string{
		"auth_type": {"OS_AUTH_TYPE"}, "region_name": {"OS_REGION_NAME"},
		"interface": {"OS_INTERFACE", "OS_ENDPOINT_TYPE"}, "cacert": {"OS_CACERT"},
		"cert": {"OS_CERT"}, "key": {"OS_KEY"}, "insecure": {"OS_INSECURE"},
	} {
		if v := firstEnv(getenv, names); v != "" {
			tree[key] = v
		}
	}
	return tree
}

// envAuth is the variables of each key of "auth", the older spelling last.
func envAuth() map[string][]string {
	m := map[string][]string{
		"project_id":   {"OS_PROJECT_ID", "OS_TENANT_ID"},
		"project_name": {"OS_PROJECT_NAME", "OS_TENANT_NAME"},
		"token":        {"OS_TOKEN", "OS_AUTH_TOKEN"},
	}
	for _, k := range authKeys() {
		if m[k] == nil {
			m[k] = []string{"OS_" + strings.ToUpper(k)}
		}
	}
	return m
}

// authKeys is every key of "auth" that we understand.
func authKeys() []string {
	return []string{
		"auth_url", "username", "user_id", "password", "token",
		"project_name", "project_id", "user_domain_name", "user_domain_id",
		"project_domain_name", "project_domain_id", "domain_name", "domain_id", "default_domain",
		"application_credential_id", "application_credential_name", "application_credential_secret",
	}
}

func firstEnv(getenv func(string) string, names []string) string {
	for _, n := range names {
		if v := getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// newEntry makes an entry of a parsed one and says everything that it lacks.
func newEntry(from string, tree map[string]any) (entry, error) {
	r := reader{}
	e := entry{
		from: from, auth: map[string]string{}, overrides: map[string]string{},
		region: r.text(tree, "region_name"), cacert: r.text(tree, "cacert"),
		cert: r.text(tree, "cert"), key: r.text(tree, "key"),
		verify: r.truth(tree, "verify", true) && !r.truth(tree, "insecure", false),
	}
	e.iface = r.oneInterface(cmp.Or(r.text(tree, "interface"), r.text(tree, "endpoint_type"), "public"))
	auth := childOf(tree, "auth")
	for _, k := range authKeys() {
		if v := r.text(auth, k); v != "" {
			e.auth[k] = v
		}
	}
	for k := range tree {
		if service, ok := strings.CutSuffix(k, "_endpoint_override"); ok {
			e.overrides[strings.ReplaceAll(service, "_", "-")] = strings.TrimRight(r.text(tree, k), "/")
		}
	}
	e.authURL = r.authURL(e.auth["auth_url"])
	e.authType = r.authType(r.text(tree, "auth_type"), e.auth)
	r.complete(e)
	if p := cmp.Or(r.text(tree, "profile"), r.text(tree, "cloud")); p != "" && e.authURL == "" {
		r.fail("profile %q is not looked up: write what it stands for", p)
	}
	if len(r.wrong) > 0 {
		slices.Sort(r.wrong)
		return entry{}, fmt.Errorf("%s: %s", from, strings.Join(r.wrong, "; "))
	}
	return e, nil
}

// secrets is what must never be seen in a text.
func (e entry) secrets() []string {
	return []string{e.auth["password"], e.auth["token"], e.auth["application_credential_secret"]}
}
