// Package templates holds what a cluster is made of: the HOT template of the
// root stack, the HOT template of a node, and the files that a node boots
// from. One folder per cluster type, in it one per revision of the type;
// kubernetes is no type but the boot scripts that types of Kubernetes are to
// wrap, with what they expect of it on top of boot.sh.
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
