package view

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/schema"
)

// The elements of JUnit's XML that both Jenkins and GitLab read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"` // GitLab shows it as the suite
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Failure *junitFailure `xml:"failure"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the verdict on each file as the result of a test, for the test
// pages of Jenkins and GitLab. All that makes a file fail is one failure: they
// show no more than the first of a test, and one test of a name. Warnings and
// notes are the output of the test.
func JUnit(w io.Writer, v Validation) error {
	const name = "jeroboam validate"
	suite := junitSuite{Name: name}
	for _, file := range v.files() {
		c := v.junitCase(file)
		if c.Failure != nil {
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Tests = len(suite.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	err := e.Encode(junitSuites{Name: name, Tests: suite.Tests, Failures: suite.Failures, Suites: []junitSuite{suite}})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n")
	return err
}

// files are those that were read and those that problems name, sorted.
func (v Validation) files() []string {
	files := slices.Clone(v.Files)
	for _, p := range v.Problems {
		files = append(files, p.Pos.File)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

func (v Validation) junitCase(file string) junitCase {
	var failed, other []string
	var first schema.Problem
	for _, p := range v.Problems {
		switch {
		case p.Pos.File != file:
		case v.fails(p):
			if len(failed) == 0 {
				first = p
			}
			failed = append(failed, clean(p.String()))
		default:
			other = append(other, clean(p.String()))
		}
	}
	c := junitCase{Class: "jeroboam.validate", Name: "fleet", Out: strings.Join(other, "\n")}
	if file != "" {
		c.File = clean(sinkFile(schema.Pos{File: file}))
		c.Name = c.File
	}
	if len(failed) > 0 {
		c.Failure = &junitFailure{Message: said(first), Type: string(first.Code), Text: strings.Join(failed, "\n")}
	}
	if n := len(failed) - 1; n > 0 {
		c.Failure.Message += fmt.Sprintf(" (and %d more)", n)
	}
	return c
}
