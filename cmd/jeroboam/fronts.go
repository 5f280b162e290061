package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"jeroboam.io/jeroboam/cmd/internal/web"
)

// fronts are the addresses that the instances of a process listen at: one server
// for each address, whoever shares it.
type fronts struct {
	log *zap.Logger
	now func() time.Time

	mu  sync.Mutex
	all map[string]*front
}

// front is one address.
type front struct {
	port    handler
	close   func()                // nil: it is not open yet
	members map[string]web.Member // by instance
}

func newFronts(log *zap.Logger, now func() time.Time) *fronts {
	return &fronts{log: log, now: now, all: map[string]*front{}}
}

// expect counts an instance in that will come: until it has, its address is not
// ready.
func (f *fronts) expect(address, instance string) {
	if address == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at(address).members[instance] = web.Member{Name: instance}
}

func (f *fronts) at(address string) *front {
	if f.all[address] == nil {
		f.all[address] = &front{members: map[string]web.Member{}}
	}
	return f.all[address]
}

// join puts an instance behind an address, in the place of what it was there. The
// first one opens it.
func (f *fronts) join(ctx context.Context, address string, m web.Member) error {
	if address == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.at(address)
	if at.close == nil {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		at.close = serve(l, &at.port, f.log)
	}
	at.members[m.Name] = m
	f.refresh(at)
	return nil
}

func (f *fronts) refresh(at *front) {
	members := make([]web.Member, 0, len(at.members))
	for _, name := range slices.Sorted(maps.Keys(at.members)) {
		members = append(members, at.members[name])
	}
	at.port.set(web.Handler(members, f.now))
}

// leave takes an instance away from an address. The last one closes it.
func (f *fronts) leave(address, instance string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.all[address]
	if at == nil {
		return
	}
	if delete(at.members, instance); len(at.members) > 0 {
		f.refresh(at)
		return
	}
	delete(f.all, address)
	if at.close != nil {
		at.close()
	}
}
