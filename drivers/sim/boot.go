package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
)

// curlCLI is the call that a wait condition handle's curl_cli turns into.
var curlCLI = regexp.MustCompile(`curl\b[^\n]*?X-Auth-Token:\s*([^'"\\\s]+)[^\n]*?(https?://[^\s'"\\]+?/signal)\b`)

// kubeTag is the version that a node of Kubernetes is told to run, and reports.
var kubeTag = regexp.MustCompile(`KUBE_TAG='(v[0-9.]+)[^']*'`)

// bootNode plays the node inside a new server: after BootTime it looks for
// calls to Heat in its user_data and makes them.
func (c *Cloud) bootNode(s *server) {
	if s.userData == "" {
		return
	}
	c.after(c.opt.BootTime, func() {
		if c.compute.server(s.id) != s || s.status != "ACTIVE" {
			return
		}
		calls, data := map[string]string{}, s.name
		for _, text := range userDataTexts(s.userData) {
			if m := kubeTag.FindStringSubmatch(text); m != nil {
				data = "kubelet=" + m[1] + " containerd=v2.2.0"
			}
			for _, m := range curlCLI.FindAllStringSubmatch(text, -1) {
				calls[m[2]] = m[1]
			}
		}
		if len(calls) == 0 {
			return
		}
		body := map[string]any{"status": "SUCCESS", "reason": "boot-sim", "id": s.id, "data": data}
		if reason, hit := strike(&c.boots, s.name); hit {
			if reason == "" {
				return
			}
			body["status"], body["reason"] = "FAILURE", reason
		}
		for _, u := range sortedKeys(calls) {
			if h := c.handleAt(u); h != nil && c.maySignal(h, calls[u]) {
				c.signalled(h, body)
			}
		}
	})
}

// handleAt finds the resource that a signal URL names.
func (c *Cloud) handleAt(signalURL string) *resource {
	u, err := url.Parse(signalURL)
	if err != nil {
		return nil
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) < 6 {
		return nil
	}
	parts = parts[len(parts)-5:] // name, id, "resources", resource, "signal"
	s := c.heat.stacks[parts[1]]
	if s == nil || s.name != parts[0] || s.current[parts[3]] == nil {
		return nil
	}
	return s.current[parts[3]]
}

func (c *Cloud) maySignal(h *resource, tokenID string) bool {
	t := c.tokenFor(tokenID)
	return t != nil && t.handle != nil && t.handle.st.root() == h.st.root()
}

// userDataTexts gives every text inside user_data: as it is, unzipped, and the
// parts of a MIME message.
func userDataTexts(encoded string) []string {
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil
	}
	return texts(raw)
}

func texts(raw []byte) []string {
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		zr, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil
		}
		if raw, err = io.ReadAll(io.LimitReader(zr, 16<<20)); err != nil {
			return nil
		}
	}
	out := []string{string(raw)}
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		return append(out, ignitionTexts(raw)...)
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return out
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return out
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := parts.NextPart()
		if err != nil {
			return out
		}
		body, err := io.ReadAll(p)
		if err != nil {
			return out
		}
		if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "base64") {
			if dec, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), "")); err == nil {
				body = dec
			}
		}
		out = append(out, texts(body)...)
	}
}

// ignitionTexts reads the files and units of an Ignition document.
func ignitionTexts(raw []byte) []string {
	var ign struct {
		Storage struct {
			Files []struct {
				Contents struct{ Source, Compression string }
			}
		}
		Systemd struct {
			Units []struct{ Contents string }
		}
	}
	if json.Unmarshal(raw, &ign) != nil {
		return nil
	}
	var out []string
	for _, u := range ign.Systemd.Units {
		out = append(out, u.Contents)
	}
	for _, f := range ign.Storage.Files {
		head, body, found := strings.Cut(strings.TrimPrefix(f.Contents.Source, "data:"), ",")
		if !found {
			continue
		}
		text, err := url.PathUnescape(body)
		if err != nil {
			continue
		}
		data := []byte(text)
		if strings.HasSuffix(head, ";base64") {
			if data, err = base64.StdEncoding.DecodeString(text); err != nil {
				continue
			}
		}
		out = append(out, texts(data)...)
	}
	return out
}
