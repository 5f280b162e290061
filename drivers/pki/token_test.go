package pki_test

import (
	"regexp"
	"strings"
	"testing"

	"jeroboam.io/jeroboam/drivers/pki"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)
	source, seen := random(1), map[string]bool{}
	count := map[rune]int{}
	for range 2000 {
		token, err := pki.NewToken(source)
		if err != nil {
			t.Fatal(err)
		}
		text := token.Text().Reveal()
		if !form.MatchString(text) || !strings.HasPrefix(text, token.ID+".") || seen[text] {
			t.Fatalf("token %q of id %q", text, token.ID)
		}
		seen[text] = true
		for _, r := range text {
			count[r]++
		}
	}
	// 44,000 characters of 36: 1,222 of each, give or take 35. A modulo alone would give the first four 1,375.
	for r, n := range count {
		if r != '.' && (n < 1047 || n > 1340) {
			t.Errorf("%c: %d times", r, n)
		}
	}
	if len(count) != 37 {
		t.Errorf("%d characters", len(count))
	}
	for _, source := range []constant{0xff, 0xfc} {
		if _, err := pki.NewToken(source); err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("%x: got %v", byte(source), err)
		}
	}
	if _, err := pki.NewToken(strings.NewReader("short")); err == nil {
		t.Error("short randomness is enough")
	}
	for _, bad := range []string{"", "abcdef", "abcdef.0123456789abcde", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef\n", "abcdef-0123456789abcdef"} {
		if _, err := pki.ParseToken(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
