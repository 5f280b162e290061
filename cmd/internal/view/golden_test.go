package view_test

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeroboam.io/jeroboam/schema"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// golden compares what write writes with a file of testdata.
func golden(t testing.TB, file string, write func(io.Writer) error) string {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./cmd/internal/view -update writes it", err)
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
	return got.String()
}

func key(name string) schema.Key {
	return schema.Key{Cloud: "lab-demo", Name: schema.ClusterName(name)}
}

func pos(file string, line, column int) schema.Pos {
	return schema.Pos{File: file, Line: line, Column: column}
}

// noon is when everything in these tests happens.
func noon() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }
