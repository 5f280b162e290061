package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"jeroboam.io/jeroboam/reconcile"
	"jeroboam.io/jeroboam/reconcile/gitrepo"
	"jeroboam.io/jeroboam/schema"
)

// repositories opens the fleet's repository, and that of its status, which is
// mostly the same. Without one in the configuration it is the one around the
// working directory.
func (a *app) repositories(c schema.Config) (fleet, status *gitrepo.Repo, err error) {
	if c.Repository.URL == "" {
		local, err := gitrepo.Local(".")
		if err != nil {
			return nil, nil, fmt.Errorf("%w; give --repo, or repository.url in the Config", err)
		}
		c.Repository.URL = local.Root()
	}
	o, err := a.gitOptions(c.Repository.URL, c.Repository.Access)
	if err != nil {
		return nil, nil, err
	}
	o.Branch, o.Path = c.Repository.Branch, c.Repository.Path
	o.Trust = gitrepo.Trust{
		Policy:         gitrepo.TrustPolicy(c.Repository.Verify.Mode),
		AllowedSigners: c.Repository.Verify.AllowedSigners, Keyring: c.Repository.Verify.Keyring,
	}
	if !c.Status.Disabled && c.Status.URL == "" && c.Status.Access == (schema.GitAccess{}) {
		fleet, err = gitrepo.Open(a.statusOptions(o, c.Status))
		return fleet, fleet, err
	}
	if fleet, err = gitrepo.Open(o); err != nil || c.Status.Disabled {
		return fleet, fleet, err
	}
	status, err = a.statusRepository(c)
	return fleet, status, err
}

// statusRepository is another one than the fleet's, or the same with another
// credential. Those of the fleet go to no other host.
func (a *app) statusRepository(c schema.Config) (*gitrepo.Repo, error) {
	url, access := cmp.Or(c.Status.URL, c.Repository.URL), c.Status.Access
	sameHost := gitrepo.SameHost(url, c.Repository.URL)
	if access == (schema.GitAccess{}) && sameHost {
		access = c.Repository.Access
	}
	o, err := a.gitOptions(url, access)
	if err != nil {
		return nil, err
	}
	if !sameHost && o.Login == nil {
		o.Username, o.Token = "", ""
	}
	if url == c.Repository.URL {
		o.Branch, o.Path = c.Repository.Branch, c.Repository.Path
	}
	return gitrepo.Open(a.statusOptions(o, c.Status))
}

func (a *app) statusOptions(o gitrepo.Options, s schema.StatusConfig) gitrepo.Options {
	o.StatusBranch, o.StatusPath, o.Author, o.Committer = s.Branch, s.Path, s.Author, s.Committer
	o.SkipCI, o.Trailers, o.Sign = s.SkipCI, s.Trailers, a.signing(s.Signing)
	return o
}

// outbox keeps status that is to be pushed below the state folder, which the
// caller has locked.
func (a *app) outbox(c schema.Config, status *gitrepo.Repo) (*gitrepo.Outbox, error) {
	return gitrepo.OpenOutbox(filepath.Join(c.StateDir, "outbox"), status, gitrepo.OutboxOptions{Every: a.pace, Now: a.now, Log: a.log()})
}

// signing is nil if status commits are not signed.
func (a *app) signing(s schema.GitSigning) gitrepo.Sign {
	switch {
	case s.Key == "":
		return nil
	case s.Format == schema.SigningOpenPGP:
		return gitrepo.SignOpenPGP(s.Key, passphrase(s.Passphrase))
	}
	return gitrepo.SignSSH(gitrepo.SSH{KeyFile: s.Key, Passphrase: passphrase(s.Passphrase), Agent: a.getenv("SSH_AUTH_SOCK")})
}

// gitOptions are those of getting to a repository.
func (a *app) gitOptions(url string, access schema.GitAccess) (gitrepo.Options, error) {
	o := gitrepo.Options{URL: url, Proxy: access.Proxy, Log: a.log(), SSH: a.sshOptions(access)}
	switch {
	case access.CredentialsFile != "":
		o.Login = func() (gitrepo.Login, error) { return gitrepo.StoredLogin(access.CredentialsFile, url) }
	case access.Token.Set():
		o.Login = func() (gitrepo.Login, error) {
			token, err := readSecret(access.Token)
			return gitrepo.Login{Username: access.Username, Token: token}, err
		}
	default:
		o.Username, o.Token = a.getenv("JEROBOAM_GIT_USERNAME"), a.getenv("JEROBOAM_GIT_TOKEN")
		if access.Username != "" {
			o.Username = access.Username
		}
	}
	if access.CABundle != "" {
		var err error
		if o.CABundle, err = os.ReadFile(access.CABundle); err != nil {
			return o, fmt.Errorf("read CA bundle for Git: %w", err)
		}
	}
	return o, nil
}

func (a *app) sshOptions(access schema.GitAccess) gitrepo.SSH {
	o := gitrepo.SSH{KeyFile: access.SSHKey, Agent: a.getenv("SSH_AUTH_SOCK"), KnownHosts: []string{access.KnownHosts}}
	if access.KnownHosts == "" {
		o.KnownHosts = nil
		if home, err := os.UserHomeDir(); err == nil {
			o.KnownHosts = append(o.KnownHosts, filepath.Join(home, ".ssh", "known_hosts"))
		}
		o.KnownHosts = append(o.KnownHosts, "/etc/ssh/ssh_known_hosts")
	}
	o.Passphrase = passphrase(access.SSHPassphrase)
	if word := a.getenv("JEROBOAM_GIT_SSH_PASSPHRASE"); o.Passphrase == nil && word != "" {
		o.Passphrase = func() (string, error) { return word, nil }
	}
	return o
}

// passphrase is nil if there is none.
func passphrase(source schema.SecretSource) func() (string, error) {
	if !source.Set() {
		return nil
	}
	return func() (string, error) { return readSecret(source) }
}

// tellDistrust says what is wrong with the head of the branch.
func (a *app) tellDistrust(d *reconcile.Distrust) {
	switch {
	case d == nil:
	case d.Held:
		a.say("jeroboam", d.String())
	default:
		a.say("warning", d.String())
	}
}

// withDistrust is the outcome where the head may be held: what is not applied
// comes before what changes, and after what failed.
func withDistrust(d *reconcile.Distrust, err error) error {
	if done, ok := errors.AsType[outcome](err); d != nil && d.Held && (err == nil || ok && done == exitChanges) {
		return outcome(exitHeld)
	}
	return err
}

func readSecret(s schema.SecretSource) (string, error) {
	return ownSecrets().Text(schema.Secret{Env: s.Env, File: s.File})
}
