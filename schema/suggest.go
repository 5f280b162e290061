package schema

import (
	"slices"
	"strings"
)

// Nearest are the candidates that somebody most likely meant by word, the nearest
// first, at most n; none if none is near.
func Nearest(word string, candidates []string, n int) []string {
	var near []string
	for left := slices.Clone(candidates); len(near) < n; {
		best := nearest(word, left)
		if best == "" {
			break
		}
		near = append(near, best)
		left = slices.DeleteFunc(left, func(c string) bool { return c == best })
	}
	return near
}

// nearest is the candidate that somebody most likely meant by word, or "" if
// none is near. Case, '_' and '-' do not count: node_count is nodeCount.
func nearest(word string, candidates []string) string {
	plain := simplify(word)
	best, least := "", max(1, len(plain)/3)+1
	for _, c := range candidates {
		if d := distance(plain, simplify(c), least); d < least {
			best, least = c, d
		}
	}
	return best
}

// didYouMean is the hint for the nearest candidate, or "".
func didYouMean(word string, candidates []string) string {
	if n := nearest(word, candidates); n != "" {
		return `did you mean "` + n + `"?`
	}
	return ""
}

func simplify(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(s), "_", ""), "-", "")
}

// distance counts the letters to add, drop, change or swap with their neighbour
// until a is b. It gives up at most.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		if slices.Min(next) >= most {
			return most
		}
		before, row = row, next
	}
	return row[len(b)]
}
