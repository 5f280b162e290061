package main

import (
	"io/fs"
	"os"
	"syscall"

	"jeroboam.io/jeroboam/reconcile"
)

// ownSecrets reads the values of secretLabels from the environment and the files
// of this process.
func ownSecrets() reconcile.SecretReader {
	return reconcile.SecretReader{
		Env: os.LookupEnv,
		File: func(path string) (fs.File, error) {
			// Without O_NONBLOCK a named pipe waits for somebody who writes.
			return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		},
	}
}
