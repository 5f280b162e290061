// The programs of the lab's nodes that have no module to come from. A module of
// their own: they are no part of jeroboam.
module jeroboam.io/jeroboam/deploy/lab/mirror

go 1.26
