// Command deltahook polls REST APIs and delivers each change as a signed webhook.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	_ "time/tzdata" // a scratch image has no zone files
)

// version is set by the release build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, processOf(os.Args[1:]))
	stop()
	os.Exit(code)
}

// process is what a command may know of the process it runs in.
type process struct {
	args      []string
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	lookupEnv func(string) (string, bool)
	// terminal says whether a person watches stdout; width is its width in columns.
	terminal bool
	width    int
	// columns is how wide a table may be; 0: as wide as it is. A pipe gets whole lines, unless $COLUMNS says otherwise.
	columns int
	height  int // of the terminal in lines; 0: it is none
	// asks says whether a person can answer on stdin.
	asks bool
}

func processOf(args []string) *process {
	p := &process{
		args: args, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookupEnv: os.LookupEnv,
		terminal: term.IsTerminal(int(os.Stdout.Fd())), width: 80, asks: term.IsTerminal(int(os.Stdin.Fd())),
	}
	if w, h, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		p.width, p.columns, p.height = w, w, h
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 && !p.terminal {
		p.width, p.columns = n, n
	}
	return p
}

// execute runs one command and gives the exit code.
func execute(ctx context.Context, p *process) int {
	out := &checked{w: p.stdout}
	if p.stdout = out; p.terminal {
		p.stdout = guarded{out}
	}
	root := newRoot(p)
	root.SetArgs(p.args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := out.lost(root.ExecuteContext(ctx))
	if err == nil {
		return exitOK
	}
	exit, ok := errors.AsType[*exitError](err)
	if !ok {
		exit = &exitError{code: exitUsage, err: err, hint: "see: deltahook --help"}
	}
	if exit.err != nil {
		fmt.Fprintln(p.stderr, harmless(exit.err.Error()))
	}
	if exit.hint != "" {
		fmt.Fprintln(p.stderr, "  "+exit.hint)
	}
	return exit.code
}

// app is what the commands share: the process and the persistent flags.
type app struct {
	*process
	config []string
	color  string
	mute   string // a daemon that has the store and does not answer where it is asked; empty: there is none
}

func newRoot(p *process) *cobra.Command {
	a := &app{process: p}
	root := &cobra.Command{
		Use:   "deltahook",
		Short: "Polls REST APIs and delivers each change as a signed webhook",
		Long: "deltahook polls REST APIs on a schedule, finds the records that were created, updated or deleted, and delivers each\n" +
			"change as a signed webhook: at least once, in order per record, under a stable id.\n\n" +
			"First steps:  deltahook demo      then:  deltahook init URL   deltahook try SOURCE   deltahook run",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.PersistentFlags().StringArrayVar(&a.config, "config", nil,
		"configuration `FILE` or folder of *.toml (default: $DELTAHOOK_CONFIG, ./deltahook.toml, /etc/deltahook/deltahook.toml)")
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "colours: auto, always or never")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkColor() }
	a.addCommands(root)
	a.completeFlags(root)
	return root
}

func (a *app) addCommands(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start:"},
		&cobra.Group{ID: "look", Title: "Look:"},
		&cobra.Group{ID: "act", Title: "Act:"},
		&cobra.Group{ID: "plumbing", Title: "Secrets and plumbing:"},
	)
	for _, g := range []struct {
		id       string
		commands []*cobra.Command
	}{
		{"start", []*cobra.Command{a.demo(), a.initCommand(), a.check(), a.try(), a.run()}},
		{"look", []*cobra.Command{a.status(), a.events(), a.deliveries(), a.why(), a.tail()}},
		{"act", []*cobra.Command{a.reload(), a.poll(), a.pause(), a.resume(), a.release(), a.discard(), a.rekey(), a.reset(), a.replay(), a.backfill()}},
		{"plumbing", []*cobra.Command{a.secret(), a.verify(), a.listen(), a.ping(), a.healthcheck(), a.backup(), a.storeCommand(), a.configCommand(), a.schema(), a.man(), a.versionCommand()}},
	} {
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("plumbing")
	root.SetCompletionCommandGroupID("plumbing")
}
