package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/schema"
)

// The files of the board: a record for each cluster, the counts and what
// guards must not forget, and a page for people.
const (
	statusFolder = "status"
	summaryFile  = "summary.json"
	readmeFile   = "README.md"
)

// Guards are what guards must know even when the local store was lost.
type Guards struct {
	Head    Head                               `json:"head"`
	Deletes []Deletion                         `json:"deletesLastDay,omitempty"`
	Places  map[schema.CloudName]drivers.Place `json:"places,omitempty"`
}

// summary is summary.json. Nothing in it changes while nothing happens.
type summary struct {
	FormatVersion string                      `json:"formatVersion"`
	Instance      string                      `json:"instance"`
	Owner         string                      `json:"owner"`
	Clusters      int                         `json:"clusters"`
	ByStatus      map[string]int              `json:"byStatus"`
	Held          int                         `json:"held"`
	Drifted       int                         `json:"drifted"`
	Unknown       map[schema.CloudName]string `json:"unknownClouds,omitempty"`
	Head          *Distrust                   `json:"distrustedHead,omitempty"`
	Guards        Guards                      `json:"guards"`
}

func (r *Reconciler) guards(ctx context.Context) (g Guards, err error) {
	if g.Head, err = r.Store.Head(ctx); err != nil {
		return g, err
	}
	// The first commit with a tree stands for those after it: where people, or we
	// with the status itself, commit beside the fleet, each commit would be another.
	if shown := r.shownHead; shown.Tree == g.Head.Tree && shown.Clusters == g.Head.Clusters && shown.Commit != "" {
		g.Head = shown
	}
	if g.Deletes, err = r.Store.DeletesSince(ctx, r.Now().Add(-24*time.Hour)); err != nil {
		return g, err
	}
	g.Places, err = r.Store.Places(ctx)
	return g, err
}

// publish writes what differs from the board. A failure is kept in the report
// and made good by the next run, which finds the difference again: status never
// stands in the way of the work.
func (r *Reconciler) publish(ctx context.Context, l *look) error {
	report := &l.report
	if r.Board == nil {
		return nil
	}
	changed, err := r.unpublished(l)
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		return nil
	}
	config, told := r.Config, Report{
		Run: report.Run, StartedAt: report.StartedAt, Snapshot: report.Snapshot, Plan: report.Plan, Results: report.Results,
		Records: report.Records, Guards: report.Guards,
	}
	all := sync.OnceValue(func() map[string][]byte {
		files, err := StatusFiles(config, told)
		if err != nil {
			panic("reconcile: " + err.Error()) // each was rendered before
		}
		return files
	})
	_, err = r.Board.WriteStatus(ctx, StatusCommit{Changed: changed, All: all, Message: statusMessage(r.Config, *report), Time: r.Now()})
	if err != nil {
		return err
	}
	if r.published == nil { // it could not be read
		r.published = map[string]string{}
	}
	for p, text := range changed {
		if r.published[p] = digest(text); text == nil {
			delete(r.published, p)
		}
	}
	r.shownHead = report.Guards.Head
	return nil
}

// unpublished are the files that the board does not have so; nil: it has one too many.
func (r *Reconciler) unpublished(l *look) (map[string][]byte, error) {
	changed, kept := map[string][]byte{}, 0
	for _, t := range r.told {
		was, there := r.published[t.file]
		if there {
			kept++
		}
		if !t.fresh && t.page == was && there {
			continue
		}
		text, err := statusFile(t.record)
		if err != nil {
			return nil, err
		}
		if t.page = digest(text); t.page != was {
			changed[t.file] = text
		}
	}
	s, err := summaryText(r.Config, l.report)
	if err != nil {
		return nil, err
	}
	for p, text := range map[string][]byte{summaryFile: s, readmeFile: readme(r.Config, l.report)} {
		was, there := r.published[p]
		if there {
			kept++
		}
		if digest(text) != was {
			changed[p] = text
		}
	}
	if kept < len(r.published) {
		r.obsolete(changed)
	}
	return changed, nil
}

// obsolete adds what the board has of clusters that nothing is told of.
func (r *Reconciler) obsolete(changed map[string][]byte) {
	current := map[string]bool{summaryFile: true, readmeFile: true}
	for _, t := range r.told {
		current[t.file] = true
	}
	for p := range r.published {
		if !current[p] {
			changed[p] = nil
		}
	}
}

// ours says that a path of the board is one that we write.
func ours(p string) bool {
	return p == summaryFile || p == readmeFile || strings.HasPrefix(p, statusFolder+"/")
}

// digests are those of our files.
func digests(files map[string][]byte) map[string]string {
	m := make(map[string]string, len(files))
	for p, text := range files {
		if ours(p) {
			m[p] = digest(text)
		}
	}
	return m
}

// digest stands for a text.
func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return string(sum[:16])
}

// StatusFiles renders a report as the files of the board.
func StatusFiles(c schema.Config, report Report) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, rec := range report.Records {
		text, err := statusFile(rec)
		if err != nil {
			return nil, err
		}
		files[statusPath(rec.Key())] = text
	}
	s, err := summaryText(c, report)
	if err != nil {
		return nil, err
	}
	files[summaryFile], files[readmeFile] = s, readme(c, report)
	return files, nil
}

// statusFile is a record as the board has it.
func statusFile(rec Record) ([]byte, error) {
	rec.Holds = nil
	text, err := yaml.Marshal(settledNodes(rec))
	if err != nil {
		return nil, fmt.Errorf("render status of %s: %w", rec.Key(), err)
	}
	return text, nil
}

func summaryText(c schema.Config, report Report) ([]byte, error) {
	s, err := json.MarshalIndent(summaryOf(c, report), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", summaryFile, err)
	}
	return append(s, '\n'), nil
}

// settledNodes leaves out nodes of a cluster in motion: an update visits each of
// them for a moment, and every visit would be a commit. Addresses stay while it is
// updated, as they do in the cloud: somebody may take them from here.
func settledNodes(r Record) Record {
	if !strings.HasSuffix(r.Status, "_IN_PROGRESS") {
		return r
	}
	if r.Status != string(diff.UpdateInProgress) {
		r.NodeAddresses, r.MasterAddresses = []string{}, []string{}
	}
	r.NodeGroups = slices.Clone(r.NodeGroups)
	for i := range r.NodeGroups {
		r.NodeGroups[i].Nodes = nil
	}
	return r
}

func statusPath(k schema.Key) string {
	return path.Join(statusFolder, string(k.Cloud), string(k.Name)+".yaml")
}

func summaryOf(c schema.Config, report Report) summary {
	s := summary{
		FormatVersion: "1.0", Instance: c.Instance, Owner: c.Owner,
		Clusters: len(report.Records), ByStatus: map[string]int{}, Head: report.Snapshot.Distrust, Guards: report.Guards,
	}
	for i := range report.Records {
		r := &report.Records[i]
		s.ByStatus[r.Status]++
		if len(r.Held) > 0 {
			s.Held++
		}
		if len(r.Drift) > 0 {
			s.Drifted++
		}
	}
	for _, u := range report.Plan.Unknown {
		if s.Unknown == nil {
			s.Unknown = map[schema.CloudName]string{}
		}
		s.Unknown[u.Cloud] = u.Reason
	}
	return s
}

// summarize is what the history keeps of a run.
func summarize(report Report) json.RawMessage {
	counts := map[string]int{}
	for _, s := range report.Plan.Steps {
		if s.Held != nil {
			counts["held"]++
		} else {
			counts[string(s.Op)]++
		}
	}
	b, err := json.Marshal(map[string]any{
		"steps": counts, "inSync": report.Plan.InSync, "failed": len(report.Failed()), "fingerprint": report.Plan.Fingerprint,
	})
	if err != nil {
		panic("reconcile: " + err.Error())
	}
	return b
}

// headOf is the head that a board shows; zero if it shows none.
func headOf(files map[string][]byte) Head {
	var s summary
	if json.Unmarshal(files[summaryFile], &s) != nil {
		return Head{} // who needs more of it says what is wrong
	}
	return s.Guards.Head
}

// restore takes from the board what a new or lost store does not have.
func (m *memory) restore(files map[string][]byte, now time.Time) error {
	text, ok := files[summaryFile]
	if !ok {
		return nil
	}
	var s summary
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("the board's %s, which guards need because the local store is new, cannot be read: %w", summaryFile, err)
	}
	m.head, m.restored = s.Guards.Head, true
	m.head.Owner = s.Owner
	for _, d := range s.Guards.Deletes {
		if now.Sub(d.At) < 24*time.Hour {
			m.deletes = append(m.deletes, d)
		}
	}
	for cloud, p := range s.Guards.Places {
		if _, known := m.places[cloud]; !known {
			m.places[cloud] = p
		}
	}
	records, err := RecordsOf(files)
	if err != nil {
		return fmt.Errorf("guards need it because the local store is new: %w", err)
	}
	m.facts = maps.Clone(m.facts) // which are the store's
	for _, rec := range records {
		if f := m.facts[rec.Key()]; f.Protection == Undeclared {
			f.Protection, f.ProtectionCommit = Protected, s.Guards.Head.Commit
			if !rec.DeletionProtection {
				f.Protection = Unprotected
			}
			m.facts[rec.Key()] = f
		}
	}
	return nil
}

// RecordsOf reads the records among the files of a board, in no order.
func RecordsOf(files map[string][]byte) ([]Record, error) {
	var records []Record
	for p, text := range files {
		if !strings.HasPrefix(p, statusFolder+"/") {
			continue
		}
		var r Record
		if err := yaml.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("read the board's %s: %w", p, err)
		}
		if r.Name == "" {
			return nil, fmt.Errorf("the board's %s is no record of a cluster", p)
		}
		records = append(records, r)
	}
	return records, nil
}
