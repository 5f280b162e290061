package schema

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// Source is one of several fleets that a daemon keeps.
type Source struct {
	Name       string        `json:"name"`             // the instance
	Owner      string        `json:"owner,omitempty"`  // default the name
	Repository Repository    `json:"repository"`       // where the fleet is read from
	Status     *StatusConfig `json:"status,omitempty"` // default that of the Config
}

// Instances are the configurations of single fleets that a Config stands for: one
// for each of its sources, in their order, or itself. They share clouds and
// limits, and nothing that they write.
func (c *Config) Instances() []Config {
	if len(c.Sources) == 0 {
		return []Config{*c}
	}
	all := make([]Config, 0, len(c.Sources))
	for _, s := range c.Sources {
		one := *c
		one.Sources = nil
		one.Instance, one.Owner, one.Repository = s.Name, cmp.Or(s.Owner, s.Name), s.Repository
		if s.Status != nil {
			one.Status = *s.Status
		}
		one.Status.Branch = cmp.Or(one.Status.Branch, "jeroboam-status/"+s.Name)
		if c.StateDir != "" {
			one.StateDir = filepath.Join(c.StateDir, s.Name)
		}
		all = append(all, one)
	}
	return all
}

// sources checks each source, and that no two write the same.
func (c *checker) sources(config *Config) {
	seen := map[string]int{}
	once := func(i int, field, what, value, fix string) {
		if first, twice := seen[what+value]; twice {
			c.report(CodeSources, fmt.Sprintf("/spec/sources/%d%s", i, field), fix, "%s of /spec/sources/%d is the same", what, first)
			return
		}
		seen[what+value] = i
	}
	for i, one := range config.Instances() {
		s, at := config.Sources[i], fmt.Sprintf("/spec/sources/%d", i)
		c.repository(&s.Repository, at+"/repository")
		if s.Status != nil {
			c.status(s.Status, at+"/status")
		}
		c.sameBranch(&one.Repository, &one.Status, at+"/status")
		once(i, "/name", "the name", one.Instance, "give it another")
		once(i, "/owner", "the owner", one.Owner, "give it another, or each deletes what the other makes")
		r, t := one.Repository, one.Status
		once(i, "/repository", "the fleet", strings.Join([]string{r.URL, r.Branch, path.Clean("/" + r.Path)}, " "), "keep one of them")
		if !t.Disabled {
			to := strings.Join([]string{cmp.Or(t.URL, r.URL), t.Branch, path.Clean("/" + t.Path)}, " ")
			once(i, "/status", "the place of the status", to, "give it another branch or path")
		}
	}
	for field, set := range map[string]bool{
		"instance": config.Instance != "", "owner": config.Owner != "", "repository": config.Repository != (Repository{}),
	} {
		if set {
			c.report(CodeSources, "/spec/"+field, "say it in the sources, or leave them out", "%s is for a Config without sources", field)
		}
	}
}
