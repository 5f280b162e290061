package schema

import (
	"slices"
	"strings"
	"testing"
)

// TestOldWords: what the table tells people to write is a field, and no word in
// it is one already.
func TestOldWords(t *testing.T) {
	t.Parallel()
	for place, words := range oldWords {
		fields := fieldsAt(place).names
		all := slices.Clone(words.reported)
		for word, target := range words.fields {
			all = append(all, word)
			if name, _, _ := strings.Cut(target, ":"); !slices.Contains(fields, name) {
				t.Errorf("%s: %s is told to be %s, which is no field", place, word, name)
			}
		}
		for word := range words.hints {
			all = append(all, word)
		}
		for _, word := range all {
			if slices.Contains(fields, word) {
				t.Errorf("%s: %s is a field", place, word)
			}
			if hint, _ := MagnumWord(place, word); hint == "" {
				t.Errorf("%s: nothing is told of %s", place, word)
			}
		}
	}
	for word, kind := range oldKinds {
		if _, ok := registry()[kind]; kind != "" && !ok {
			t.Errorf("%s is told to be %s, which is no kind", word, kind)
		}
	}
}
