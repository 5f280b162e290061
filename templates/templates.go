// Package templates holds what a cluster is made of: the HOT template of the
// root stack, the HOT template of a node, and the files that a node boots
// from. One folder per cluster type, in it one per revision of the type;
// kubernetes is of all types of Kubernetes, which wrap the same boot scripts,
// each in the way that its images understand. What the scripts expect is on top
// of boot.sh there.
//
// A revision that clusters were built with is never edited, only followed by
// the next one: a release of Jeroboam must not roll anybody's nodes. A golden
// test of drivers/heat pins each.
//
// The files of types are text/template; which values they get is in
// drivers/heat. Scripts are taken as they are.
package templates

import "embed"

// FS has the files as <cluster type>/<revision>/<file>.
//
//go:embed docker_ubuntu kubernetes
var FS embed.FS
