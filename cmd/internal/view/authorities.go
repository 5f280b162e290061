package view

import (
	"fmt"
	"io"
	"time"

	"jeroboam.io/jeroboam/drivers"
	"jeroboam.io/jeroboam/drivers/pki"
	"jeroboam.io/jeroboam/schema"
)

// Authorities are the certificates of a cluster's authorities and where their
// keys are.
type Authorities struct {
	Cluster     schema.Key
	Kept        drivers.KeyPlace
	Certificate []pki.Shown
	Warnings    []string // what should be done about them
}

// Expiry says of certificates that will be over soon, and of those that are.
func Expiry(all []pki.Shown, now time.Time) []string {
	var said []string
	for _, c := range all {
		word := "ends"
		if now.After(c.NotAfter) {
			word = "ended"
		}
		said = append(said, fmt.Sprintf("%s %s on %s", c.File, word, day(c.NotAfter)))
	}
	return said
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// AuthoritiesText writes one certificate a row, its fingerprint below: that is
// what is compared by eye.
func AuthoritiesText(w io.Writer, a Authorities, o Options) error {
	out := newPage(o)
	out.line(0, text(a.Cluster.String()).in(bold), textf("keys are kept in %s", a.Kept.Where))
	out.blank()
	rows := [][]cell{heading("FILE", "SUBJECT", "USE", "NOT AFTER", "SHA-256 FINGERPRINT")}
	for _, c := range a.Certificate {
		use := "signs"
		if !c.Signs {
			use = "trusted"
		}
		rows = append(rows, []cell{text(c.File), text(c.Subject), text(use), text(day(c.NotAfter)), text(c.Fingerprint)})
	}
	out.table(0, rows)
	for i, warning := range a.Warnings {
		if i == 0 {
			out.blank()
		}
		out.line(0, text("warning:").in(yellow), text(warning))
	}
	return out.to(w)
}

// AuthoritiesJSON writes the same, with what tells public keys apart.
func AuthoritiesJSON(w io.Writer, a Authorities) error {
	return writeJSON(w, struct {
		FormatVersion string           `json:"formatVersion"`
		Cluster       string           `json:"cluster"`
		Kept          drivers.KeyPlace `json:"kept"`
		Certificates  []pki.Shown      `json:"certificates"`
		Warnings      []string         `json:"warnings"`
	}{FormatVersion, a.Cluster.String(), a.Kept, list(a.Certificate), list(a.Warnings)})
}

// Exported is what an export wrote.
type Exported struct {
	Cluster string   `json:"cluster"`
	Folder  string   `json:"folder"`
	Files   []string `json:"files"`
}

// ExportedText says where the files are and what they are good for.
func ExportedText(w io.Writer, e Exported, o Options) error {
	out := newPage(o)
	out.line(0, text(e.Cluster).in(bold), textf("%d files are in %s", len(e.Files), e.Folder))
	out.line(0, text("Whoever has them owns the cluster, for as long as it lives: keep them where no others read, and remove them here."))
	return out.to(w)
}

// ExportedJSON writes the same.
func ExportedJSON(w io.Writer, e Exported) error { return writeJSON(w, e) }
