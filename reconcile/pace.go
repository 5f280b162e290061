package reconcile

import (
	"sync"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// Pace bounds how steps are started. The zero Pace starts everything that is due,
// eight at a time.
type Pace struct {
	Steps         int // at once; 0: 8
	StepsPerCloud int // at once in one cloud; 0: as Steps
	// Stop is asked before each step is begun. Once it says true, what has not been
	// begun is left to the next run, which decides anew; nil: never.
	Stop func() bool
}

// Pacer is a driver that knows of a step that it is too soon to try it again. Such
// a step is not begun: its result is the error, which is the one of the last try.
type Pacer interface {
	TooSoon(step diff.Step) error
}

// stepsAtOnce bounds how many steps are started beside each other. Due gives at
// most one step a cluster, so no cluster has two.
const stepsAtOnce = 8

// each calls begin for the steps by their index, those of one cloud in order. A
// cloud that is slow to take its steps keeps no more than its share of the places.
// It returns when the last has returned, and says which were begun.
func (p Pace) each(due []diff.Step, begin func(i int)) []bool {
	if p.Steps <= 0 {
		p.Steps = stepsAtOnce
	}
	if p.StepsPerCloud <= 0 {
		p.StepsPerCloud = p.Steps
	}
	byCloud := map[schema.CloudName][]int{}
	for i, s := range due {
		byCloud[s.Cluster.Cloud] = append(byCloud[s.Cluster.Cloud], i)
	}
	begun := make([]bool, len(due))
	places := make(chan struct{}, p.Steps)
	var all sync.WaitGroup
	for _, steps := range byCloud {
		queue := make(chan int, len(steps))
		for _, i := range steps {
			queue <- i
		}
		close(queue)
		for range min(p.StepsPerCloud, len(steps)) {
			all.Go(func() {
				for i := range queue {
					places <- struct{}{}
					if p.Stop == nil || !p.Stop() {
						begun[i] = true
						begin(i)
					}
					<-places
				}
			})
		}
	}
	all.Wait()
	return begun
}
