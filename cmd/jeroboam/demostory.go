package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"jeroboam.io/jeroboam/cmd/internal/demo"
	"jeroboam.io/jeroboam/cmd/internal/view"
	"jeroboam.io/jeroboam/cmd/internal/web"
	"jeroboam.io/jeroboam/reconcile"
)

// play tells the story and, unless the reader wants no more than that, stays.
func (p *player) play(ctx context.Context, f demoFlags) error {
	story, stop := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("the fleet is not as Git says after %s", f.timeout))
	defer stop()
	p.say(demo.Opening)
	p.shell("cd %s", p.folder.Dir)
	acts := demo.Acts()
	for i, act := range acts {
		p.heading(fmt.Sprintf("%d. %s", i+1, act.Title))
		commit, err := p.commit(story, act)
		if err != nil {
			return err
		}
		if p.runs == nil {
			p.shell("jeroboam run &")
			p.runs = begin(ctx, p.daemon.keep)
		}
		if err := p.carriedOut(story, act, commit); err != nil {
			return err
		}
		if act.Then != "" {
			p.say("\n" + act.Then)
		}
	}
	p.heading(fmt.Sprintf("%d. The status is in Git as well", len(acts)+1))
	if err := p.showBoard(story); err != nil {
		return err
	}
	if f.untilSettled {
		p.say("\nThe fleet is as Git says, but for the delete that is held.")
		return nil
	}
	p.showNext()
	return p.stay(ctx)
}

// say writes lines, and nothing if there are none.
func (p *player) say(lines string) {
	if lines != "" {
		fmt.Fprintln(p.stdout, lines)
	}
}

func (p *player) heading(title string) {
	if p.view().Color {
		title = "\x1b[1m" + title + "\x1b[0m"
	}
	fmt.Fprintf(p.stdout, "\n%s\n\n", title)
}

// width of the terminal; 0: it is none.
func (p *player) width() int {
	width, _, _ := view.Terminal(p.stdout)
	return width
}

// shell shows what a person would type.
func (p *player) shell(format string, args ...any) {
	command := "$ " + fmt.Sprintf(format, args...)
	if p.view().Color {
		command = "\x1b[36m" + command + "\x1b[0m"
	}
	fmt.Fprintln(p.stdout, command)
}

// commit makes the edits of an act, shows the plan of the work tree, which is what
// a reviewer decides on, and commits.
func (p *player) commit(ctx context.Context, act demo.Act) (string, error) {
	p.say(act.Says)
	for _, e := range act.Edits {
		if err := p.folder.Make(e); err != nil {
			return "", err
		}
		if c := e.Command(); c != "" {
			p.shell("%s", c)
		}
	}
	p.shell("jeroboam plan %s", demo.Fleet)
	planned, err := p.livePlan(ctx, []string{demo.Fleet})
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := view.PlanText(&text, planned.Plan, p.view()); err != nil {
		return "", err
	}
	// A full line would wrap on some terminals.
	fmt.Fprint(p.stdout, demo.Wrap(text.String(), p.width()-1))
	fmt.Fprintln(p.stdout)
	p.shell("git -C %[1]s add -A && git -C %[1]s commit -qm '%[2]s'", demo.Fleet, act.Message)
	return p.folder.Commit(ctx, act.Message, p.now())
}

// carriedOut follows a commit until the daemon says of it what is expected.
func (p *player) carriedOut(ctx context.Context, act demo.Act, commit string) error {
	s, err := p.watch(ctx, func(s web.Synced) bool {
		return s.Commit == commit && s.Error == "" && s.InSync == act.InSync && s.Held == act.Held
	})
	if err != nil {
		return err
	}
	return p.showSynced(s, true)
}

// watch shows clusters on their way. When none moves it has the daemon make a pass,
// which settles whether that was all.
func (p *player) watch(ctx context.Context, over func(web.Synced) bool) (s web.Synced, err error) {
	progress := view.NewProgress(p.stdout, p.view(), p.now())
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	var asked error
	show := func() (atRest bool, err error) {
		records, err := p.records(ctx)
		if err == nil {
			err = progress.Show(records, p.now())
		}
		return !slices.ContainsFunc(records, underWay), err
	}
	for {
		atRest, err := show()
		if atRest && err == nil {
			s, asked = web.AskSync(ctx, demo.State, true)
			if asked == nil && over(s) {
				p.last = s
				_, err := show()
				return s, errors.Join(err, progress.Done(p.now()))
			}
		}
		if err != nil && ctx.Err() == nil {
			return s, err
		}
		select {
		case <-ctx.Done():
			return s, late(context.Cause(ctx), s, asked)
		case <-p.runs.done:
			return s, fmt.Errorf("the daemon has ended: %w", p.runs.err)
		case <-tick.C:
		}
	}
}

// late says how far it came. asked is why the daemon did not say so itself.
func late(cause error, s web.Synced, asked error) error {
	switch {
	case asked != nil:
		return fmt.Errorf("%w: %w", cause, asked)
	case s.Error != "":
		return fmt.Errorf("%w: %s", cause, s.Error)
	}
	return fmt.Errorf("%w: %d in sync, %d held, %d in motion, %d failed", cause, s.InSync, s.Held, s.Moving, s.Failed)
}

func underWay(r reconcile.Record) bool {
	return len(r.Pending) > 0 || strings.HasSuffix(r.Status, "_IN_PROGRESS")
}

// showBoard shows what is on the status branch, once it has what the last act did.
func (p *player) showBoard(ctx context.Context) error {
	config, err := p.config()
	if err != nil {
		return err
	}
	_, board, err := p.repositories(config)
	if err != nil {
		return err
	}
	files, err := heldOn(ctx, board)
	if err != nil {
		return err
	}
	p.say(demo.BoardSays)
	p.shell("git -C %s ls-tree -r --name-only %s", demo.Fleet, config.Status.Branch)
	p.say(strings.Join(slices.Sorted(maps.Keys(files)), "\n"))
	fmt.Fprintf(p.stdout, demo.BoardReads, demo.Fleet, config.Status.Branch)
	p.shell("jeroboam status")
	records, err := p.records(ctx)
	if err != nil {
		return err
	}
	o := p.view()
	o.Width = p.width()
	return view.StatusText(p.stdout, records, o)
}

// heldOn are the files of a board when they tell of a step that is held, and of
// nothing that moves.
func heldOn(ctx context.Context, board reconcile.Board) (map[string][]byte, error) {
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	for {
		files, err := board.ReadStatus(ctx)
		if err != nil {
			return nil, err
		}
		records, err := reconcile.RecordsOf(files)
		if err != nil {
			return nil, err
		}
		held := slices.ContainsFunc(records, func(r reconcile.Record) bool { return len(r.Held) > 0 })
		if held && !slices.ContainsFunc(records, underWay) {
			return files, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: the status branch is behind", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// showNext says what to try, with the paths as they are.
func (p *player) showNext() {
	program, err := os.Executable()
	if err != nil {
		program = "jeroboam"
	}
	p.heading("Now you")
	fmt.Fprintf(p.stdout, demo.Next, p.folder.Dir, filepath.Dir(program))
}

// stay has the daemon look at the branch when somebody has committed, as a webhook
// would, and shows what comes of that, until it is interrupted.
func (p *player) stay(ctx context.Context) error {
	tick := time.NewTicker(demoTick)
	defer tick.Stop()
	for seen := p.last.Commit; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-p.runs.done:
			return fmt.Errorf("the daemon has ended: %w", p.runs.err)
		case <-tick.C:
		}
		head, err := p.folder.Head(ctx)
		if err != nil || head == seen {
			continue // while git moves the branch it may be unreadable
		}
		s, err := web.AskSync(ctx, demo.State, true)
		if err != nil {
			continue // why, is seen above
		}
		if seen, p.last = head, s; s.Error == "" {
			_, err = p.watch(ctx, func(s web.Synced) bool { return s.Started == 0 && s.Moving == 0 })
		}
		if err == nil {
			err = p.showSynced(p.last, true)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}
