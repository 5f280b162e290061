package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"net/url"
	"testing"
	"time"
)

const callHome = "curl -i -X POST -H 'X-Auth-Token: TOKEN' -H 'Content-Type: application/json' http://h/orchestration/v1/p/stacks/s/id/resources/w/signal --data-binary '{}'"

func gz(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := zw.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCallsAreFoundInEveryKindOfUserData(t *testing.T) {
	t.Parallel()
	mime := "Content-Type: multipart/mixed; boundary=\"X\"\nMIME-Version: 1.0\n\n--X\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\n" +
		base64.StdEncoding.EncodeToString([]byte(callHome)) + "\n--X--\n"
	for name, data := range map[string][]byte{
		"plain":             []byte("#!/bin/sh\n" + callHome + "\n"),
		"gzip":              gz(t, callHome),
		"multipart":         []byte(mime),
		"gzipped multipart": gz(t, mime),
		"ignition file":     []byte(`{"ignition": {"version": "3.3.0"}, "storage": {"files": [{"path": "/x", "contents": {"source": "data:;base64,` + base64.StdEncoding.EncodeToString([]byte(callHome)) + `"}}]}}`),
		"ignition url":      []byte(`{"storage": {"files": [{"contents": {"source": "data:,` + url.PathEscape(callHome) + `"}}]}}`),
	} {
		found := ""
		for _, text := range userDataTexts(base64.StdEncoding.EncodeToString(data)) {
			for _, m := range curlCLI.FindAllStringSubmatch(text, -1) {
				found = m[1] + " " + m[2]
			}
		}
		if want := "TOKEN http://h/orchestration/v1/p/stacks/s/id/resources/w/signal"; found != want {
			t.Errorf("%s: found %q, want %q", name, found, want)
		}
	}
}

func TestEventsHappenInOrderAndWithinAdvance(t *testing.T) {
	t.Parallel()
	clock := NewManualClock(time.Time{})
	c := New(Options{Clock: clock})
	start := clock.Now()
	var got []string
	note := func(s string) func() { return func() { got = append(got, s+"@"+c.now.Sub(start).String()) } }
	c.mu.Lock()
	c.after(2*time.Second, note("b"))
	c.after(time.Second, func() {
		note("a")()
		c.after(time.Second, note("c")) // set off by an event, due in the same push
		c.after(0, note("a2"))
	})
	c.after(10*time.Second, note("never"))
	c.mu.Unlock()
	clock.Advance(5 * time.Second)
	want := []string{"a@1s", "a2@1s", "b@2s", "c@2s"}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if !c.now.Equal(start.Add(5 * time.Second)) {
		t.Errorf("the cloud's time is %v", c.now)
	}
}
