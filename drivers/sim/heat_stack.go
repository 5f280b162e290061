package sim

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
)

// orchestration is Heat's state.
type orchestration struct {
	stacks map[string]*stack            // all, by id, the deleted ones too
	names  map[string]map[string]*stack // by project and name: those that exist
	roots  map[string][]*stack          // by project, in the order of creation: those that exist
	seq    int
	waits  map[*stack][]*op // wait conditions that wait
	parsed map[string]*hot  // nested templates by their text
}

func (h *orchestration) init() {
	h.stacks, h.names, h.roots = map[string]*stack{}, map[string]map[string]*stack{}, map[string][]*stack{}
	h.waits, h.parsed = map[*stack][]*op{}, map[string]*hot{}
}

// stack is one stack, root or nested.
type stack struct {
	seq           int
	id, name      string
	base          string // URL that the creator used; signal URLs are made from it
	project       *project
	user          *user
	domainProject string // of the users that signal
	parent        *stack
	parentRes     *resource
	depth         int

	t        *hot
	files    map[string]string
	given    map[string]any // parameters as given
	env      environment
	params   map[string]any // all values, pseudo parameters included
	previous *target        // what a rollback goes back to
	seeded   func()         // fills in a bulk-seeded stack on first sight

	tags             []string // nil: never had any
	action, status   string
	reason           string
	created          time.Time
	updated, deleted time.Time
	timeout          *int // minutes, as asked for
	rollback         bool

	traversal int // number of the running one; 0: none
	checking  int // number of the last check
	gen       int // of the template
	rows      []*resource
	current   map[string]*resource
	todo      map[node]*nodeState
	wanted    map[string]*hotResource // of the template, by condition; nil: not known yet
	depNames  map[string][]string
	left      int
	wiped     bool // deleted: GET template shows no resources
	settled   func()

	events []stackEvent
	row    []byte // of the list
	rowFor string // the base URL in it
	fold   []string
}

// target is what a traversal aims at.
type target struct {
	t      *hot
	files  map[string]string
	given  map[string]any
	env    environment
	params map[string]any
}

// environment is what PATCH merges into.
type environment struct {
	defaults map[string]any // parameter_defaults
	registry map[string]any // resource_registry
}

// resource is one row of Heat's resource table. During a replacement a name
// has two: the new one, and the old one on its way out.
type resource struct {
	st               *stack
	name, kind       string
	phys, physName   string
	action, status   string
	reason           string
	created, updated time.Time

	asked     map[string]any // as the template had them when something was last begun
	props     map[string]any // converted, of the last success
	metadata  any
	dependsOn []string
	requires  []*resource
	replaces  *resource
	replaced  *resource
	gen       int
	retain    bool

	op     *op // what is being done to it
	nested *stack
	// signals of a wait condition handle, in the order of their ids' arrival
	signals []signal
	token   string
	value   any // of Value and RandomString
	ownPort string
	stuck   bool
}

type signal struct {
	id, status, reason string
	data               any
}

type stackEvent struct {
	id, resource, phys, status, reason, kind string
	at                                       time.Time
	seq                                      int
}

func (s *stack) root() *stack {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

func (s *stack) owner() owner { return owner{project: s.project.id, user: s.user.id} }

// touch must follow each change of what the list shows.
func (s *stack) touch() { s.row = nil }

func (s *stack) setTags(tags []string) {
	s.tags, s.fold = tags, make([]string, len(tags))
	for i, t := range tags {
		s.fold[i] = foldTag(t)
	}
	s.touch()
}

// foldTag is how the database's collation compares: without case and without
// trailing blanks.
func foldTag(t string) string { return strings.ToLower(strings.TrimRight(t, " ")) }

// maxEventReason is the width of the column; longer reasons are cut in events
// but not in resources and stacks.
const maxEventReason = 255

// setState records a stack's state and tells it as an event.
func (c *Cloud) setState(s *stack, action, status, reason string) {
	s.action, s.status, s.reason = action, status, reason
	s.touch()
	c.stackEvent(s, action+"_"+status, reason)
}

func (c *Cloud) stackEvent(s *stack, status, reason string) {
	c.event(s, s.name, s.id, status, reason, "OS::Heat::Stack")
}

func (c *Cloud) event(s *stack, name, phys, status, reason, kind string) {
	if len(reason) > maxEventReason {
		reason = reason[:maxEventReason-3] + "..."
	}
	c.heat.seq++
	s.events = append(s.events, stackEvent{c.uuid(), name, phys, status, reason, kind, c.now, c.heat.seq})
}

// set records a resource's state and tells it as an event.
func (c *Cloud) set(r *resource, action, status, reason string) {
	r.action, r.status, r.reason, r.updated = action, status, reason, c.now
	c.event(r.st, r.name, r.shownID(), action+"_"+status, reason, r.kind)
}

func (r *resource) shownID() string {
	if r.phys != "" {
		return r.phys
	}
	return r.physName
}

func (c *Cloud) newResource(s *stack, name, kind string) *resource {
	r := &resource{st: s, name: name, kind: kind, action: "INIT", status: "COMPLETE", created: c.now, updated: c.now}
	r.physName = shorten(fmt.Sprintf("%s-%s-%s", s.name, name, c.letters(12)), 255)
	s.rows = append(s.rows, r)
	return r
}

// shorten keeps the end of a name, where its random part is.
func shorten(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	return name[:2] + "-" + name[len(name)-(limit-3):]
}

// newStack registers a stack; the caller converges it.
func (c *Cloud) newStack(name string, p *project, u *user, base string, to target) *stack {
	c.heat.seq++
	s := &stack{
		seq: c.heat.seq, id: c.uuid(), name: name, base: base, project: p, user: u, created: c.now,
		action: "CREATE", status: "IN_PROGRESS", current: map[string]*resource{},
	}
	s.aim(to)
	c.heat.stacks[s.id] = s
	if c.heat.names[p.id] == nil {
		c.heat.names[p.id] = map[string]*stack{}
	}
	c.heat.names[p.id][name] = s
	return s
}

// aim makes to the template in force.
func (s *stack) aim(to target) {
	s.t, s.files, s.given, s.env = to.t, to.files, to.given, to.env
	s.params = maps.Clone(to.params)
	if s.params == nil {
		s.params = map[string]any{}
	}
	s.params["OS::stack_name"], s.params["OS::stack_id"], s.params["OS::project_id"] = s.name, s.id, s.project.id
	s.gen++
	s.wanted, s.depNames = nil, nil
}

func (s *stack) target() *target {
	return &target{s.t, s.files, s.given, s.env, s.params}
}

// forget removes a stack from the names and lists; it can still be read by id.
func (c *Cloud) forget(s *stack) {
	s.deleted = c.now
	delete(c.heat.waits, s)
	if c.heat.names[s.project.id][s.name] == s {
		delete(c.heat.names[s.project.id], s.name)
	}
	list := c.heat.roots[s.project.id]
	if i := sort.Search(len(list), func(i int) bool { return list[i].seq >= s.seq }); i < len(list) && list[i] == s {
		c.heat.roots[s.project.id] = slices.Delete(list, i, i+1)
	}
}

// resourcesInTree counts what the limit per root stack counts.
func (c *Cloud) resourcesInTree(s *stack) int {
	n := len(s.current)
	for _, r := range s.current {
		if r.nested != nil {
			n += c.resourcesInTree(r.nested)
		}
	}
	return n
}

// SeedStack adds a root stack in CREATE_COMPLETE at once and cheaply. It has
// parameters, template and files to read, but its resources exist only after
// the first update; until then its resource list is empty. It panics on an
// unknown project, a mistake in the test; a template that Heat would refuse
// shows when it is first read.
func (c *Cloud) SeedStack(projectName, name string, tags []string, parameters, template map[string]any, files map[string]string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.identity.projectByName(projectName)
	if p == nil {
		panic("sim: no project " + projectName)
	}
	owner := c.identity.userByName(projectName)
	if owner == nil {
		owner = c.identity.users[0]
	}
	s := c.newStack(name, p, owner, "http://sim", target{t: &hot{}, files: files, given: parameters})
	s.domainProject = s.id
	s.setTags(tags)
	s.action, s.status, s.reason = "CREATE", "COMPLETE", "Stack CREATE completed successfully"
	c.heat.roots[p.id] = append(c.heat.roots[p.id], s)
	s.seeded = func() {
		raw := marshal(template)
		v, _ := decodeJSON(raw)
		doc, _ := v.(map[string]any)
		given, _ := decodeJSON(marshal(parameters))
		to := target{files: files}
		to.given, _ = given.(map[string]any)
		t, err := newHOT(raw, doc)
		if err == nil {
			to.t = t
			to.params, err = c.paramValues(t, to.given, nil, s.owner())
		}
		if err != nil {
			panic("sim: seeded stack " + name + ": " + err.msg)
		}
		s.aim(to)
	}
	return s.id
}

// sight completes a bulk-seeded stack when somebody looks at it.
func (s *stack) sight() *stack {
	if s.seeded != nil {
		fillIn := s.seeded
		s.seeded = nil
		fillIn()
	}
	return s
}
