package schema

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// Repository says which tree of which branch is the fleet.
type Repository struct {
	URL    string    `json:"url,omitempty"`    // https, ssh, http or file URL, user@host:path, or a local path
	Branch string    `json:"branch,omitempty"` // default: the remote's HEAD
	Path   string    `json:"path,omitempty"`   // folder below the root; default the root
	Access GitAccess `json:"access,omitzero"`  // how to get there
	Verify GitVerify `json:"verify,omitzero"`  // whose commits are believed
}

// GitVerify says whose commits are believed.
type GitVerify struct {
	Mode           VerifyMode `json:"mode,omitempty"`           // default off
	AllowedSigners string     `json:"allowedSigners,omitempty"` // file as Git's gpg.ssh.allowedSignersFile
	Keyring        string     `json:"keyring,omitempty"`        // file of OpenPGP keys
}

// VerifyMode is what becomes of a head that nobody vouches for.
type VerifyMode string

// The modes. Empty is VerifyOff.
const (
	VerifyOff     VerifyMode = "off"     // signatures are not looked at
	VerifyWarn    VerifyMode = "warn"    // it is followed, and told
	VerifyRequire VerifyMode = "require" // it is held
)

// StatusConfig says how status is committed.
type StatusConfig struct {
	Disabled  bool       `json:"disabled,omitempty"`
	Branch    string     `json:"branch,omitempty"`    // default jeroboam-status/<instance>
	Author    string     `json:"author,omitempty"`    // "Name <mail>"
	Committer string     `json:"committer,omitempty"` // "Name <mail>"; default the author
	Signing   GitSigning `json:"signing,omitzero"`    // unset: status commits are not signed

	URL    string    `json:"url,omitempty"`   // of another repository; default the fleet's
	Access GitAccess `json:"access,omitzero"` // default the fleet's, on the same host
	Path   string    `json:"path,omitempty"`  // folder of the branch; default the root

	SkipCI   bool              `json:"skipCI,omitempty"`   // "[skip ci]" in the subjects
	Trailers map[string]string `json:"trailers,omitempty"` // at the end of the messages
}

// GitSigning is the key that status commits are signed with.
type GitSigning struct {
	Format     SigningFormat `json:"format,omitempty"` // default ssh
	Key        string        `json:"key,omitempty"`    // file; for ssh also that of a public key, whose other half an agent has
	Passphrase SecretSource  `json:"passphrase,omitzero"`
}

// SigningFormat is the kind of a signature.
type SigningFormat string

// The formats. Empty is SigningSSH.
const (
	SigningSSH     SigningFormat = "ssh"
	SigningOpenPGP SigningFormat = "openpgp"
)

// GitAccess is how a repository is reached. What is empty comes from the
// environment: JEROBOAM_GIT_TOKEN and JEROBOAM_GIT_USERNAME for HTTP, the agent
// of SSH_AUTH_SOCK and the user's known_hosts for SSH.
type GitAccess struct {
	Username        string       `json:"username,omitempty"`        // over HTTP; default git
	Token           SecretSource `json:"token,omitzero"`            // or password, over HTTP
	CredentialsFile string       `json:"credentialsFile,omitempty"` // as git-credential-store writes it
	CABundle        string       `json:"caBundle,omitempty"`        // PEM file of certificates that are trusted beside the system's
	Proxy           string       `json:"proxy,omitempty"`           // http, https or socks5 URL; default for HTTP that of the environment
	SSHKey          string       `json:"sshKey,omitempty"`          // file of a private key
	SSHPassphrase   SecretSource `json:"sshPassphrase,omitzero"`    // of sshKey
	KnownHosts      string       `json:"knownHosts,omitempty"`      // file; default ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
}

// SecretSource says where a secret is: in an environment variable or in a file,
// in none if both are empty.
type SecretSource struct {
	Env  string `json:"env,omitempty"`
	File string `json:"file,omitempty"` // absolute path
}

// Set tells whether there is one.
func (s SecretSource) Set() bool { return s != SecretSource{} }

func (c *checker) repository(r *Repository, at string) {
	c.repositoryURL(r.URL, at+"/url")
	c.folder(r.Path, at+"/path")
	c.access(&r.Access, at+"/access")
	if v := r.Verify; (v.Mode == VerifyWarn || v.Mode == VerifyRequire) && v.AllowedSigners == "" && v.Keyring == "" {
		c.report(CodeVerify, at+"/verify/mode", "set allowedSigners, or keyring for OpenPGP", "it does not say whose signatures count")
	}
}

func (c *checker) status(s *StatusConfig, at string) {
	if g := s.Signing; g != (GitSigning{}) && g.Key == "" {
		c.report(CodeVerify, at+"/signing", "set key to the file of a private key", "there is no key to sign with")
	}
	c.secretSource(s.Signing.Passphrase, at+"/signing/passphrase")
	c.repositoryURL(s.URL, at+"/url")
	c.access(&s.Access, at+"/access")
	c.folder(s.Path, at+"/path")
}

// sameBranch keeps status out of the fleet: it would be no document of ours, and
// each status commit would change the fleet's tree.
func (c *checker) sameBranch(r *Repository, s *StatusConfig, at string) {
	if s.Disabled || s.URL != "" && s.URL != r.URL || s.Branch == "" || s.Branch != r.Branch {
		return
	}
	fleet, status := path.Clean("/"+r.Path), path.Clean("/"+s.Path)
	if strings.HasPrefix(status+"/", strings.TrimSuffix(fleet, "/")+"/") {
		c.report(CodeRepository, at+"/branch", "set repository.path and status.path to folders beside each other, or another branch",
			"status would be written into the fleet, on its branch in its folder")
	}
}

func (c *checker) folder(p, at string) {
	if path.IsAbs(p) || p != "" && slices.Contains(strings.Split(p, "/"), "..") {
		c.report(CodeRepository, at, "", "expected a folder below the root of the repository, found %q", short(p))
	}
}

func (c *checker) repositoryURL(text, at string) {
	if !strings.Contains(text, "://") {
		return // a local path, or user@host:path
	}
	u, err := url.Parse(text)
	if err != nil {
		c.report(CodeRepository, at, "", "expected a URL or a local path") // the text may hold a password
		return
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme == "ssh" && password:
		c.report(CodeRepository, at, "SSH takes a key", "a password does not belong in the configuration")
	case u.Scheme != "ssh" && u.User != nil:
		c.report(CodeRepository, at, "give them by the environment or a file", "user and password do not belong in the configuration")
	case !slices.Contains([]string{"https", "ssh", "http", "file"}, u.Scheme):
		c.report(CodeRepository, at, "", "expected https, ssh, http or file, found %q", short(u.Scheme))
	}
}

// access finds secrets that are not where they belong, and settings of which
// only one can hold.
func (c *checker) access(a *GitAccess, at string) {
	c.secretSource(a.Token, at+"/token")
	c.secretSource(a.SSHPassphrase, at+"/sshPassphrase")
	if a.CredentialsFile != "" && a.Token.Set() {
		c.report(CodeRepository, at+"/credentialsFile", "keep one of the two", "the token is given as well")
	}
	if a.SSHPassphrase.Set() && a.SSHKey == "" {
		c.report(CodeIdle, at+"/sshPassphrase", "set sshKey as well", "an agent's keys have no passphrase")
	}
	if a.Proxy == "" {
		return
	}
	u, err := url.Parse(a.Proxy)
	switch {
	case err != nil || u.Host == "":
		c.report(CodeRepository, at+"/proxy", "", "expected a URL such as http://proxy.example.org:3128") // it may hold a password
	case u.User != nil:
		c.report(CodeRepository, at+"/proxy", "give them by HTTPS_PROXY", "user and password do not belong in the configuration")
	case !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme):
		c.report(CodeRepository, at+"/proxy", "", "expected http, https or socks5, found %q", short(u.Scheme))
	}
}

// secretSource checks that a secret is in one place. What is wrong is not
// repeated: it may be the secret itself.
func (c *checker) secretSource(s SecretSource, at string) {
	switch {
	case s.Env != "" && s.File != "":
		c.report(CodeSecretReference, at, "keep one of the two", "the value is in an environment variable or in a file, not in both")
	case s.Env != "" && !envName.MatchString(s.Env):
		c.report(CodeSecretReference, at+"/env", "the value itself does not belong here", "expected the name of an environment variable: letters, digits and '_'")
	case s.File != "" && (!path.IsAbs(s.File) || path.Clean(s.File) != s.File):
		c.report(CodeSecretReference, at+"/file", "the value itself does not belong here", "expected the absolute path of a file, without '..' and the like")
	}
}
