package pki_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/yaml"

	"jeroboam.io/jeroboam/drivers/pki"
)

// leaks fails if a line of a text's private keys or a part of it is repeated.
func leaks(t testing.TB, said, text string) {
	t.Helper()
	for _, needle := range needles(text) {
		if strings.Contains(strings.ToLower(said), strings.ToLower(needle)) {
			t.Errorf("it repeats %.12s...:\n%.400s", needle, said)
		}
	}
}

// needles are what to look for: the lines, and the raw key as fmt and big.Int print it.
func needles(text string) (found []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); len(line) >= 10 && !strings.HasPrefix(line, "-----") {
			found = append(found, line[:min(len(line), 24)])
		}
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || !strings.Contains(block.Type, "PRIVATE") || len(block.Bytes) < 68 {
		return found
	}
	raw := block.Bytes[36:68] // where PKCS#8 has a P-256 key
	decimal := strings.Trim(fmt.Sprintf("%d", raw[:8]), "[]")
	number := new(big.Int).SetBytes(raw).String()[:20]
	return append(found, number, hex.EncodeToString(raw[:8]), decimal, strings.ReplaceAll(decimal, " ", ","), base64.StdEncoding.EncodeToString([]byte(text))[60:84])
}

func TestNothingPrintsAKey(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, 1)
	files := filesOf(t, keys)
	credential, err := keys.Cluster.Client(pki.Client{User: "joe"}, pki.Terms{Now: now, Random: random(2)})
	if err != nil {
		t.Fatal(err)
	}
	key, err := credential.Key()
	if err != nil {
		t.Fatal(err)
	}
	config, err := pki.Kubeconfig(pki.Access{Cluster: "blue", Server: "https://10.0.0.1:6443", Trust: keys.Cluster.Bundle(), Credential: credential})
	if err != nil {
		t.Fatal(err)
	}
	var secrets strings.Builder
	for _, f := range files {
		if f.Private() {
			secrets.WriteString(f.Text.Reveal())
		}
	}
	type deep struct{ unexported any }
	type field struct {
		keys       pki.Keys
		pointer    *pki.Keys
		files      []pki.File
		credential pki.Credential
		config     pki.Secret
	}
	all := field{*keys, keys, files, credential, config}
	values := []any{
		*keys, keys, keys.Cluster, &keys.Etcd, keys.ServiceAccount, files, files[1], files[1].Text, credential, &credential, key, config,
		all, &all,
		deep{all},
		[]any{deep{*keys}},
		map[string]any{"k": all},
		pki.Access{Credential: credential},
	}
	haystack := func(t *testing.T, said string) {
		t.Helper()
		for _, f := range files {
			if f.Private() {
				leaks(t, said, f.Text.Reveal())
			}
		}
		leaks(t, said, key.Reveal())
		if strings.Contains(said, "BEGIN") && strings.Contains(said, "PRIVATE") {
			t.Errorf("it has a PEM header: %.200s", said)
		}
	}
	for i, v := range values {
		t.Run(fmt.Sprintf("%d %T", i, v), func(t *testing.T) {
			t.Parallel()
			for _, verb := range "vsqxXdotTpcbUeEfFgG" {
				for _, flag := range []string{"", "+", "#", " ", "-20"} {
					haystack(t, fmt.Sprintf("%"+flag+string(verb), v))
				}
			}
			haystack(t, fmt.Sprint(v)+fmt.Sprintln(v)+fmt.Errorf("x: %v", v).Error())
			if b, err := json.Marshal(v); err == nil {
				haystack(t, string(b))
			}
			if b, err := yaml.Marshal(v); err == nil {
				haystack(t, string(b))
			}
			var b bytes.Buffer
			_ = gob.NewEncoder(&b).Encode(v)
			haystack(t, b.String())
			b.Reset()
			for _, encoder := range []zapcore.Encoder{zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.NewConsoleEncoder(zapcore.EncoderConfig{})} {
				log := zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&b), zap.DebugLevel))
				log.Info("x", zap.Any("v", v), zap.Reflect("r", v))
				log.Sugar().Infow("x", "v", v)
			}
			haystack(t, b.String())
		})
	}
	// The search finds what it should: else all of the above proves nothing.
	for _, text := range []string{files[1].Text.Reveal(), key.Reveal()} {
		block, _ := pem.Decode([]byte(text))
		for _, said := range []string{text, fmt.Sprintf("%d", block.Bytes), fmt.Sprintf("%x", block.Bytes), fmt.Sprintf("%#v", block.Bytes)} {
			if !found(said, text) && !strings.Contains(said, "0x") {
				t.Errorf("the search is blind to %.60s", said)
			}
		}
	}
}

func found(said, text string) bool {
	for _, needle := range needles(text) {
		if strings.Contains(said, needle) {
			return true
		}
	}
	return false
}
