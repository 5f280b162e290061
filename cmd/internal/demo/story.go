package demo

// Act is a commit of the story, and what is expected of it.
type Act struct {
	Title   string
	Says    string // before the plan; lines
	Edits   []Edit
	Message string // of the commit
	Then    string // after it is done; lines

	// What the daemon says when it is as Git says.
	InSync, Held int
}

// Acts are the story. TestStory holds the numbers and edits to the examples.
func Acts() []Act {
	return []Act{
		{
			Title: "A fleet: two clusters of Docker hosts, one of Kubernetes",
			Says: `The documents are in fleet/, a Git repository. Before a commit, this is what a
reviewer sees:
`,
			Edits:   []Edit{{Copy: "docker"}, {Copy: "ha-kubernetes"}},
			Message: "three clusters",
			InSync:  3,
		},
		{
			Title:   "A commit makes a cluster larger",
			Edits:   []Edit{{File: "ci.yaml", Old: "nodeCount: 2", New: "nodeCount: 4"}},
			Message: "two more hosts for ci",
			InSync:  3,
		},
		{
			Title: "A commit upgrades Kubernetes by a minor version",
			Says: `Masters go one by one and before workers, workers two at a time, as the document
says; a batch that fails would stop the upgrade.
`,
			Edits:   []Edit{{File: "ha-kubernetes.yaml", Old: "v1.35.2", New: "v1.36.1"}},
			Message: "Kubernetes 1.36",
			InSync:  3,
		},
		{
			Title:   "A commit removes a cluster, and is held",
			Edits:   []Edit{{Remove: "shop.yaml"}},
			Message: "shop is not needed any more",
			Then: `Nothing was deleted. A cluster is protected until a commit says otherwise, so
that no wrong merge takes one away: bring the document back, or do as the plan
says. Each pass says so again, and so does the status.`,
			InSync: 2, Held: 1,
		},
	}
}

// Opening is before the first act.
const Opening = `Jeroboam keeps OpenStack clusters as a Git repository says. Here is a minute of
that, on a simulated OpenStack; all of it is on this machine, in this folder:
`

// BoardSays introduces the status branch.
const BoardSays = `What a pass sees is committed to a branch of its own: a table for people, a
record of each cluster with Magnum's attribute names, a summary for programs.
`

// BoardReads says how to read it: its arguments are the repository and the branch.
// What follows is the same from the local store.
const BoardReads = `
To read the table: git -C %s show %s:README.md
The same from the daemon's own store (HEALTH is what the API of a Kubernetes
cluster says, and simulated nodes have none):

`

// Next is what the reader can do. Its arguments are the folder and where the
// program is.
const Next = `The demo goes on here, and sees what you commit. In another terminal:

  cd %[1]s
  export PATH=%[2]s:$PATH OS_CLIENT_CONFIG_FILE=$PWD/clouds.yaml

  jeroboam status                           # the clusters, and what is held
  sed -i 's/nodeCount: 4/nodeCount: 3/' fleet/ci.yaml
  jeroboam plan fleet                       # what that would do; only reads
  git -C fleet commit -qam 'one host less'  # watch this terminal

  git -C fleet revert --no-edit HEAD~1      # shop is declared again
  jeroboam history                          # every pass
  git -C fleet log -p jeroboam-status/demo  # what became of it
  less jeroboam.log                         # what the daemon says

Ctrl-C ends the demo; the cloud is in memory and ends with it.
`
