//go:build linux

package docker_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
)

const nobody = 65532

// image is the root file system of the image, in a folder.
type image struct {
	dir   string
	stage *stage
}

// build runs the command of the build stage as the Dockerfile has it, and copies what the last stage copies. /out is a folder of the test,
// and what the base image of the build stage has is taken from this machine.
func build(t *testing.T) *image {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a chroot needs root")
	}
	if _, err := os.Stat("/etc/ssl/certs/ca-certificates.crt"); err != nil {
		t.Skip("the package ca-certificates is not installed")
	}
	all := stages(t)
	out := t.TempDir()
	for _, run := range all[0].all("RUN") {
		if run == "go mod download" {
			continue // they are there
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.ReplaceAll(run, "/out", out))
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "VERSION=test")
		if text, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(text), "deltahook test ") {
			t.Fatalf("RUN %s: %v\n%s", run, err, text)
		}
	}
	i := &image{dir: t.TempDir(), stage: &all[len(all)-1]}
	for _, dir := range []string{i.dir, filepath.Dir(i.dir)} { // others must be able to come in
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range i.stage.all("COPY") {
		i.copy(t, out, strings.Fields(line))
	}
	return i
}

// copy does COPY --from=build [--chown=ID:ID] SOURCE TARGET.
func (i *image) copy(t *testing.T, out string, args []string) {
	t.Helper()
	owner := 0
	for strings.HasPrefix(args[0], "--") {
		if text, ok := strings.CutPrefix(args[0], "--chown="); ok {
			id, _, _ := strings.Cut(text, ":")
			owner, _ = strconv.Atoi(id)
		} else if args[0] != "--from=build" {
			t.Fatalf("COPY %q is not known here", args)
		}
		args = args[1:]
	}
	source, target := strings.Replace(args[0], "/out", out, 1), filepath.Join(i.dir, args[1])
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), "cp", "-rL", source, target).CombinedOutput(); err != nil {
		t.Fatalf("COPY %q: %v\n%s", args, err, text)
	}
	if err := os.Chown(target, owner, owner); err != nil {
		t.Fatal(err)
	}
}

// command is the program inside the image, as its user.
func (i *image) command(ctx context.Context, t *testing.T, args []string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Err = nil // it is not in the PATH of this machine
	cmd.Dir, cmd.Env = i.stage.one(t, "WORKDIR"), append(i.stage.environment(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.dir, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func TestTheImageIsSmallAndHasRootsZonesAndNothingThatItsUserCanWriteButTheState(t *testing.T) {
	i := build(t)
	var size int64
	var files []string
	err := filepath.WalkDir(i.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, i.dir)
		if d.Type().IsRegular() {
			size += info.Size()
			files = append(files, name)
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("%s has no owner", name)
		}
		if writable := owner.Uid == nobody || info.Mode()&0o002 != 0; writable != (name == "/data") {
			t.Errorf("%s belongs to %d and has mode %s", name, owner.Uid, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// What is pulled is the compressed layers.
	layers, err := exec.CommandContext(t.Context(), "tar", "-C", i.dir, "-czf", "-", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const most = 25_000_000 // of what lies on the disk; what weighs is in docs/dependencies.md
	t.Logf("%.2f MB, compressed %.2f MB", float64(size)/1e6, float64(len(layers))/1e6)
	if size >= most || len(files) != 2 {
		t.Errorf("%d bytes, compressed %d, in %q", size, len(layers), files)
	}
	pem, err := os.ReadFile(i.dir + "/etc/ssl/certs/ca-certificates.crt")
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
		t.Errorf("no roots: %v", err)
	}
}

// world is what the container sees: an API that changes once, and a receiver whose answers can be held back.
type world struct {
	api, hooks *httptest.Server
	changed    atomic.Bool
	held       chan struct{} // closed: deliveries are answered
	came       chan struct{} // closed: one has come
	once       sync.Once
	answered   atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{held: make(chan struct{}), came: make(chan struct{})}
	w.api = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		if w.changed.Load() {
			_, _ = out.Write([]byte(`[{"id":1},{"id":2}]`))
			return
		}
		_, _ = out.Write([]byte(`[{"id":1}]`))
	}))
	t.Cleanup(w.api.Close)
	w.hooks = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.once.Do(func() { close(w.came) })
		<-w.held
		out.WriteHeader(http.StatusNoContent)
		w.answered.Add(1)
	}))
	t.Cleanup(w.hooks.Close)
	return w
}

// config is what is mounted; the zone is one that only a program with zones knows.
func (w *world) config(t *testing.T) string {
	t.Helper()
	port, err := hooktest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
[source.things]
url = %q
every = "1s"
active = "mon-sun 00:00-24:00 Europe/Berlin"
key = "id"
[webhook.app]
url = %q
secret = "env:APP_SECRET"
[admin]
listen = "127.0.0.1:%s"
`, w.api.URL, w.hooks.URL, port)
}

// The daemon runs in a chroot, as user 65532, with nothing to write but /data: it is healthy by its own check, and SIGTERM lets the
// delivery in flight end.
func TestTheImageRunsReadOnlyIsHealthyAndDrains(t *testing.T) {
	i, w := build(t), newWorld(t)
	var path string
	for _, v := range i.stage.environment() {
		if p, ok := strings.CutPrefix(v, "DELTAHOOK_CONFIG="); ok {
			path = i.dir + p
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(w.config(t)), 0o644); err != nil {
		t.Fatal(err)
	}
	const secret = "APP_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	var log bytes.Buffer
	main := i.command(t.Context(), t, append(words(t, i.stage.one(t, "ENTRYPOINT")), words(t, i.stage.one(t, "CMD"))...), secret)
	main.Stderr = &log
	if err := main.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- main.Wait() }()
	health := words(t, i.stage.one(t, "HEALTHCHECK"))
	i.until(t, "healthy", func() bool {
		return i.command(t.Context(), t, health, secret).Run() == nil
	})
	i.until(t, "a baseline", func() bool {
		out, err := i.command(t.Context(), t, []string{"/deltahook", "status"}, secret).CombinedOutput()
		return err == nil && bytes.Contains(out, []byte("things   ok"))
	})
	w.changed.Store(true)
	select {
	case <-w.came:
	case err := <-ended:
		t.Fatalf("it ended: %v\n%s", err, log.String())
	case <-time.After(2 * time.Minute):
		t.Fatal("no delivery")
	}
	if err := main.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	i.until(t, "not healthy any more", func() bool {
		return i.command(t.Context(), t, health, secret).Run() != nil
	})
	select {
	case err := <-ended:
		t.Fatalf("it did not wait for the delivery in flight: %v\n%s", err, log.String())
	default:
	}
	close(w.held)
	select {
	case err := <-ended:
		if err != nil || w.answered.Load() != 1 {
			t.Errorf("%v, %d answered\n%s", err, w.answered.Load(), log.String())
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("it does not end")
	}
	if _, err := os.Stat(i.dir + "/data/deltahook.db"); err != nil {
		t.Error(err)
	}
	out, err := i.command(t.Context(), t, []string{"/deltahook", "deliveries"}, secret).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("204")) {
		t.Errorf("what was delivered while it drained is not known: %v\n%s", err, out)
	}
}

// until asks again and again, and fails after a while.
func (i *image) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, errors.New("never: "+what))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		case <-tick.C:
		}
	}
}
