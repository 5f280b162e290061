package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// disaster is one that happened to somebody who had something like Jeroboam.
type disaster struct {
	name  string
	story string // what happened, and to whom
	play  string // here: a script in the words of commands
}

// TestDisasters lets each disaster happen to the whole program, from a commit to
// what goes over the wire, and counts what would have been lost: no DELETE is sent,
// and an hour later every stack and every server of before is there, whatever the
// updates said that were sent. Where a commit may let through what is held, it is
// shown that exactly that goes.
func TestDisasters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range disasters {
		script := "# " + d.story + "\n" + calm + d.play
		if !strings.Contains(d.play, "\nharmless") {
			t.Errorf("%s does not say that it is harmless", d.name)
		}
		if err := os.WriteFile(filepath.Join(dir, d.name+".txtar"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: setUp, Cmds: commands(), RequireUniqueNames: true})
}

// calm is the world before: a cluster that is protected and two that a run has seen
// without protection, on one cloud.
const calm = `
sim
cluster web 'nodeCount: 2' 'deletionProtection: false'
cluster docs 'deletionProtection: false'
cluster mail
commit 'three clusters'
exec jeroboam apply
advance 600
exec jeroboam apply
stdout '3 in sync'
before
`

var disasters = []disaster{
	// Git says nothing, or something else.
	{"git-away", "Argo CD 18212, 18780: the Git host was not to be reached for a moment, the answer was taken for 'no applications', and all were removed.", `
mv fleet.git away
exits 1 jeroboam apply
stderr 'repository not found: check the URL'
port dead
exits 1 jeroboam apply --repo http://$dead/fleet.git
stderr 'connection refused'
mv away fleet.git
serve s3cret
env JEROBOAM_GIT_TOKEN=of-yesterday
exits 1 jeroboam apply --repo $giturl
stderr 'authentication required: the username or the token is wrong or has expired'
harmless writes 0
`},
	{"git-damaged", "Rancher Fleet 39776: a sync failed, everything was deleted, and came back with a forced update.", `
exec cp -r fleet.git good.git
exec git -C fleet.git repack -adq
exec sh -c 'rm -f fleet.git/objects/pack/*.pack'
exits 1 jeroboam apply
exec rm -rf fleet.git
exec cp -r good.git fleet.git
exec git -C fleet checkout -q --orphan fresh
exec git -C fleet rm -q -f web.yaml docs.yaml mail.yaml
exec git -C fleet commit -q --allow-empty -m 'history is gone'
exec git -C fleet push -q --force origin fresh:main
exits 3 jeroboam apply
stdout 'rewound: commit [0-9a-f]{8} does not descend from [0-9a-f]{8}, which was applied last'
exits 3 jeroboam apply --state-dir fresh
stdout 'rewound: '
harmless writes 0

# To say that the rewind was meant is not to say that the fleet may be empty.
exits 3 jeroboam apply
ack rewound
commit $ack
exits 3 jeroboam apply
stdout 'empty-fleet: the fleet declares no cluster, where it had 3 before'
harmless writes 0
`},
	{"repository-emptied", "Flux 187, Config Sync KNV2006: the folder was there and had nothing in it, and all that it had had was pruned.", `
exec git -C fleet rm -q web.yaml docs.yaml mail.yaml
commit 'all of it'
exits 3 jeroboam apply
stdout 'empty-fleet: the fleet declares no cluster, where it had 3 before'
exits 3 jeroboam apply --state-dir fresh
stdout 'empty-fleet: '
harmless writes 0

# To say that this was meant leaves protection and the limit where they are.
exits 3 jeroboam apply
ack empty-fleet
commit $ack
exits 3 jeroboam apply
stdout 'deletion-protection: deletion protection is on, says commit'
stdout 'delete-limit: 2 clusters of lab-demo would be deleted'
harmless writes 0
`},
	{"all-but-one", "What Argo CD's and Config Sync's guards against emptiness let pass: all but one are gone.", `
exec git -C fleet rm -q web.yaml docs.yaml
commit 'a slip'
exits 3 jeroboam apply
stdout 'delete-limit: 2 clusters of lab-demo would be deleted; allowed are 1 a run, 3 more today and 1 of its 3 clusters'
stdout 'Jeroboam-Ack: delete-limit [0-9a-f]{8}'
harmless writes 0

# Exactly these go, once somebody says so, and no more by the same word.
exits 3 jeroboam apply
ack delete-limit
commit $ack
exec jeroboam apply
gone web docs
exec git -C fleet rm -q mail.yaml
commit 'another slip'
exits 3 jeroboam apply
stdout 'deletion-protection: '
gone web docs
`},
	{"one-file-broken", "Config Sync's fear: a file that cannot be read is taken for one that is not there.", `
cp broken fleet/web.yaml
exec git -C fleet rm -q docs.yaml
commit 'a bad merge'
exits 4 jeroboam apply
stderr '^web\.yaml:\d+:\d+: error '
harmless total 0
-- broken --
kind: Cluster
<<<<<<< HEAD
`},
	{"file-moved", "Terraform's and Pulumi's moved blocks: whatever changes its place is deleted and made again.", `
exec mkdir fleet/team
exec git -C fleet mv web.yaml team/frontend.yaml
commit 'tidied'
exec jeroboam apply
stdout '3 in sync'
harmless writes 0
`},
	{"generator-edited", "Argo CD 9227: a small edit to a generator gave everything another name, and most production clusters lost what they had.", `
exec sh -c 'for c in web docs mail; do sed s/name:.$c/name:\ prod-$c/ fleet/$c.yaml >fleet/prod-$c.yaml; rm fleet/$c.yaml; done'
commit 'a prefix for everything'
exits 3 jeroboam apply
stdout '^started create lab-demo/prod-web'
stdout 'delete-limit: 2 clusters of lab-demo would be deleted'
stdout 'deletion-protection: '
harmless
`},
	{"several-clouds-at-once", "Argo CD 18780: applications of several regions were deleted within a second.", `
cluster far 'cloud: lab-demo2' 'deletionProtection: false'
commit 'another region'
exec jeroboam apply
advance 600
exec jeroboam apply
stdout '4 in sync'
before
exec git -C fleet rm -q web.yaml far.yaml
commit 'one of each'
exits 3 jeroboam apply
stdout 'delete-limit: 2 clusters of 2 clouds would be deleted \(lab-demo: 1, lab-demo2: 1\); allowed are 1 a run'
harmless writes 0
ack delete-limit
commit $ack
exec jeroboam apply
requests DELETE 2
`},
	{"renamed", "peribolos, and every tool that knows things by their names: a new name is a delete and a create.", `
exec git -C fleet rm -q web.yaml
cluster shop 'nodeCount: 2' 'previousNames: [web]'
commit 'the shop is called shop'
exits 3 jeroboam apply
stdout 'rename: lab-demo/shop names it as its previous name'
stdout 'rename: lab-demo/web is there under a previous name'
harmless writes 0
`},
	{"protection-removed-with-the-block", "Terraform 17599, azurerm 29266: what was protected went, because the words that protected it went too.", `
exec git -C fleet rm -q mail.yaml
commit 'mail goes'
exits 3 jeroboam apply
stdout 'deletion-protection: deletion protection is on, says commit [0-9a-f]{8}; commit its document with deletionProtection: false, let a run see it, then remove the document'
exits 3 jeroboam apply --state-dir fresh
stdout 'says commit'
exits 3 jeroboam apply --state-dir blank --no-status
stdout 'deletion protection is on, says the live cluster'
exits 3 jeroboam plan --state-dir blank --no-status
stdout 'deletion protection is on, says'
harmless writes 0

# Both steps at once, before anybody has seen the first, are the same slip.
exec git -C fleet revert -n HEAD
cluster mail 'deletionProtection: false'
exec git -C fleet add -A
exec git -C fleet commit -q -m 'not protected any more'
exec git -C fleet rm -q mail.yaml
commit 'and gone'
exits 3 jeroboam apply
stdout 'deletion-protection: '
harmless writes 0
`},
	{"everything-forgotten", "Crossplane, Terraform: the state is lost, and with it what was known about each thing.", `
exec git -C fleet rm -q web.yaml
commit 'web goes, and the machine and the status branch with it'
exec git -C fleet.git update-ref -d refs/heads/jeroboam-status/test
exec rm -rf state
exits 3 jeroboam apply
stdout 'deletion-protection: deletion protection is on, as by default, since no run has seen it off'
harmless DELETE 0
`},
	{"limit-forgotten", "A limit a day is none if it is counted by a process that may be started again.", `
configure '  repository: {url: fleet.git}' '  limits: {deletesPerDay: 1}'
exec git -C fleet rm -q web.yaml
commit 'web goes'
exec jeroboam apply
advance 3000
exec jeroboam apply
requests DELETE 1
before
exec git -C fleet rm -q docs.yaml
commit 'docs goes'
exits 3 jeroboam apply
stdout 'delete-limit: 1 cluster of lab-demo would be deleted; allowed are 1 a run, 0 more today and 1 of its 2 clusters'
exits 3 jeroboam apply --state-dir fresh
stdout 'delete-limit: .*0 more today'
harmless writes 0
`},

	// The cloud says nothing, or something else.
	{"list-fails", "Argo CD 18480: one list failed, and all applications were deleted from all clusters.", `
exec git -C fleet rm -q web.yaml
commit 'web goes, at a bad time'
fault service=orchestration method=GET status=500
exits 1 jeroboam apply
stdout '^Unknown, and nothing was decided about their clusters:'
fault clear
fault service=orchestration method=GET status=404 'body={"error": {"message": "The resource could not be found."}}'
exits 1 jeroboam apply
fault clear
fault service=orchestration method=GET status=403
exits 1 jeroboam apply
fault clear
fault service=orchestration path=/stacks\? truncate
exits 1 jeroboam apply
fault clear
fault service=identity drop
exits 1 jeroboam apply
stdout '1 cloud unknown'
harmless writes 0
`},
	{"list-empty", "Argo CD 18480 again, without an error: the list is there, and empty.", `
exec git -C fleet rm -q web.yaml
commit 'web goes, at a bad time'
fault service=orchestration path=/stacks\? empty
exits 1 jeroboam apply
stdout 'the list lacks stack (web|docs|mail)-[0-9a-f]{8}, which exists and is CREATE_COMPLETE: nothing is decided on such a list'
exec jeroboam apply --state-dir fresh
stdout '409 StackExists'
harmless DELETE 0
`},
	{"servers-not-listed", "A list of servers that is empty, or of servers that all failed: everything would be made anew.", `
advance 700
fault service=compute path=/servers empty
exits 1 jeroboam apply
stdout 'the list lacks server [0-9a-f-]{36}, which exists'
fault clear
fault service=compute path=/servers truncate
exits 1 jeroboam apply
harmless writes 0
`},
	{"another-project", "A changed entry of clouds.yaml: the same name, another project, and nothing of ours in it.", `
cp clouds.yaml good
edit clouds.yaml 'username: demo, password: sim, project_name: demo,' 'username: demo2, password: sim, project_name: demo2,'
exits 1 jeroboam apply
stdout 'it now means project [0-9a-f]+ in region "RegionOne" and meant project'
exits 1 jeroboam apply --state-dir fresh
stdout 'it now means project'
harmless writes 0
`},
	{"owner-changed", "An identity that changed: the daemon is configured anew, and knows nothing for its own.", `
configure '  repository: {url: fleet.git}' '  owner: platform'
exec git -C fleet rm -q web.yaml
commit 'web goes'
exits 1 jeroboam apply
stderr 'this instance has kept those of owner test: not one of them would be seen any more, and each would be made a second time; set owner to test again'
exits 1 jeroboam apply --state-dir fresh
stderr 'set owner to test again'
harmless total 0
`},

	// What is not ours.
	{"taken-over", "Argo CD 20440, 22607, 15058: an application took over what another had made, and took it along when it was deleted.", `
api POST orchestration /stacks theirs.json
advance 600
before
cluster shop 'deletionProtection: false'
commit 'ours would have its name'
exits 3 jeroboam apply
stdout 'foreign: .* is there and is not ours; give this cluster another name, or have that one removed by its owner'
exec git -C fleet rm -q shop.yaml
commit 'ours goes'
exec jeroboam apply
stdout '3 in sync'
harmless writes 0
-- theirs.json --
{"stack_name": "shop-922b7898", "template": {"heat_template_version": "2018-08-31"}}
`},
	{"copied-labels", "kustomize-controller 315: an operator's own objects carried copied labels of ownership, and were collected.", `
api POST orchestration /stacks copy.json
advance 600
before
exec jeroboam apply
stdout '3 in sync'
exec jeroboam apply --state-dir fresh
stdout '3 in sync'
harmless writes 0
-- copy.json --
{"stack_name": "web-by-hand", "tags": "jeroboam.owner=test,jeroboam.instance=test,jeroboam.cluster=old,jeroboam.type=docker_ubuntu/1",
 "template": {"heat_template_version": "2018-08-31", "parameters": {"jeroboam_owner": {"type": "string", "default": "test"},
  "jeroboam_cluster": {"type": "string", "default": "{\"cloud\": \"lab-demo\", \"name\": \"old\", \"instance\": \"test\", \"type\": \"docker_ubuntu\", \"revision\": 1}"}}}}
`},

	// A delete that is called otherwise.
	{"limits-of-the-autoscaler", "Terraform's OpenStack provider 1625: an edit to the limits of the autoscaler planned another cluster.", `
cluster web 'nodeCount: 2' 'deletionProtection: false' 'nodeGroups: [{name: pool, nodeCount: 2, minNodeCount: 1, maxNodeCount: 3}]'
commit 'a pool'
settle
before
edit fleet/web.yaml 'minNodeCount: 1, maxNodeCount: 3' 'minNodeCount: 2, maxNodeCount: 9'
commit 'other limits'
settle
stdout '3 in sync'
harmless
`},
	{"edit-that-replaces", "Terraform's OpenStack provider 1485, 1499: for nearly every edit the cluster is deleted and made again.", `
edit fleet/template.yaml 'externalNetwork: public' 'externalNetwork: public, fixedNetwork: other'
commit 'another network'
exits 3 jeroboam apply
stdout 'immutable: '
harmless writes 0
`},
	{"everything-at-once", "Rancher Fleet's maxUnavailable of 100 %: one edit to what all use takes all of it down.", `
edit fleet/template.yaml ubuntu-latest ubuntu-next
commit 'the next Ubuntu'
exits 3 jeroboam apply
stdout 'disruptive-limit: 3 clusters of lab-demo would have nodes replaced or removed; allowed are 1 of its 3 clusters a run'
harmless writes 0
`},
	{"shrunk-to-one", "A zero too few: most nodes of a cluster are gone before anybody reads the diff again.", `
cluster web 'nodeCount: 8' 'deletionProtection: false'
commit 'busy days'
settle
before
cluster web 'nodeCount: 1' 'deletionProtection: false'
commit 'a slip of the finger'
exits 3 jeroboam apply
stdout 'shrink-limit: it removes 7 of 8 nodes, and a step may remove 4; shrink by less, or acknowledge'
harmless writes 0

# Another number is not what was acknowledged.
exits 3 jeroboam apply
ack shrink-limit
cluster web 'nodeCount: 2' 'deletionProtection: false'
commit $ack
exits 3 jeroboam apply
harmless writes 0
cluster web 'nodeCount: 1' 'deletionProtection: false'
commit 'the slip again'
exits 3 jeroboam apply
harmless writes 0
exits 3 jeroboam apply
ack shrink-limit
commit $ack
exec jeroboam apply
gone nodes=7
`},
	{"rolled-back-by-hand", "Argo CD Image Updater 1249: an operator rolled something back, and the bot put it where it had been.", `
lookup stack ^web-
tamper template
advance 600
before
exec jeroboam apply
stdout 'lab-demo/web +template +differs in outputs\.by_hand'
advance 3600
exec jeroboam apply
stdout 'drifted'
harmless writes 0
exec git -C fleet.git log --format=%s main
cmp stdout commits
-- commits --
three clusters
`},

	// Things that happen at the wrong time.
	{"stale-plan", "Atlantis 979, 2084, 6023: a plan from before another merge took that merge back.", `
exec git -C fleet rm -q web.yaml
commit 'web goes'
exec jeroboam plan --out plan.json
exec git -C fleet revert --no-edit HEAD
commit 'it stays'
exits 5 jeroboam apply plan.json
stderr 'the plan has changed since it was made: look at it again'
harmless writes 0
`},
	{"made-twice", "Crossplane 3037, 283: a crash between the create and the note of it, and there were two, or none was ever cleaned up.", `
cluster shop
commit 'one more'
fault service=orchestration method=POST path=/stacks$ afterwork times=1
exits 1 jeroboam apply
stdout '^not started: create lab-demo/shop'
exec jeroboam apply
stdout '1 in motion'
exec jeroboam apply --state-dir fresh
harmless
requests POST /stacks 1
stacks 4
`},
	{"clock-jumps", "A clock that is set wrong: what expires expires, and what was counted is forgotten.", `
exec git -C fleet rm -q web.yaml docs.yaml
commit 'two go'
advance 315360000
exits 3 jeroboam apply
stdout 'delete-limit: '
advance -630720000
exits 3 jeroboam apply
stdout 'delete-limit: '
harmless writes 0
`},
}

// before remembers what is there, for harmless and gone.
func (s *stage) before([]string) (err error) {
	s.alive, err = s.living()
	s.cloud.ResetRequests()
	return err
}

// harmless is given an hour for what was started to come to its end. What is given
// in addition is for checkRequests.
func (s *stage) harmless(args []string) error {
	sent := s.sent(http.MethodDelete, "")
	if len(args) > 0 {
		if err := s.checkRequests(args); err != nil {
			return err
		}
	}
	lost, err := s.lost()
	if err != nil || len(sent)+len(lost) == 0 {
		return err
	}
	return fmt.Errorf("it does harm: sent %q, lost %q", sent, lost)
}

// gone says which clusters, or how many nodes of clusters that stay, have gone since
// before, each by one DELETE or none: nothing else has.
func (s *stage) gone(args []string) error {
	deletes := len(s.sent(http.MethodDelete, ""))
	lost, err := s.lost()
	if err != nil {
		return err
	}
	nodes, clusters := 0, []string{}
	for _, arg := range args {
		if n, ok := strings.CutPrefix(arg, "nodes="); ok {
			if nodes, err = strconv.Atoi(n); err != nil {
				return err
			}
			continue
		}
		clusters = append(clusters, arg)
	}
	of := func(name string) bool {
		return slices.ContainsFunc(clusters, func(c string) bool { return strings.HasPrefix(name, c+"-") })
	}
	stacks := 0
	for _, name := range lost {
		switch kind, name, _ := strings.Cut(name, " "); {
		case of(name) && kind == "stack":
			stacks++
		case !of(name) && kind == "server":
			nodes--
		case !of(name):
			return fmt.Errorf("%s %s is gone: %q", kind, name, lost)
		}
	}
	if stacks != len(clusters) || nodes != 0 || deletes != stacks {
		return fmt.Errorf("%d DELETEs, and gone are %q: want %q", deletes, lost, args)
	}
	return nil
}

// lost are the stacks and servers of before that are not there any more, an hour
// from now.
func (s *stage) lost() ([]string, error) {
	s.cloud.ClearFaults()
	if err := s.advance([]string{"3600"}); err != nil {
		return nil, err
	}
	s.token = "" // those of before a jump of the clock are not valid
	now, err := s.living()
	var lost []string
	for id, name := range s.alive {
		if _, there := now[id]; !there {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return lost, err
}

// living are the stacks and servers of project demo by id.
func (s *stage) living() (map[string]string, error) {
	stacks, err := s.call(http.MethodGet, "orchestration", "/stacks", nil)
	servers, err2 := s.call(http.MethodGet, "compute", "/servers", nil)
	var have struct {
		Stacks []struct {
			ID   string
			Name string `json:"stack_name"`
		}
		Servers []struct{ ID, Name string }
	}
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if err := errors.Join(json.Unmarshal(stacks, &have), json.Unmarshal(servers, &have)); err != nil {
		return nil, err
	}
	alive := map[string]string{}
	for _, x := range have.Stacks {
		alive[x.ID] = "stack " + x.Name
	}
	for _, x := range have.Servers {
		alive[x.ID] = "server " + x.Name
	}
	if len(alive) == 0 {
		return nil, fmt.Errorf("nothing is there at %s: nothing can be lost", s.clock.Now().Format(time.RFC3339))
	}
	return alive, nil
}
