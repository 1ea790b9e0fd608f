package faultdisk

import (
	"errors"
	"path/filepath"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite asks this layer, which asks the layer of the operating system. It is installed once in a process, as the default one,
// and lets files of folders without a Disk pass.
//
// A file of this layer is a header, and behind it the file of the layer below.
type header struct {
	methods uintptr // *Tsqlite3_io_methods
	id      uintptr // in files; 0: it has no disk
}

const headerSize = unsafe.Sizeof(header{})

var (
	installing sync.Once //nolint:gochecknoglobals // SQLite has one list of layers for the process
	installed  error     //nolint:gochecknoglobals // see above
	below      uintptr   //nolint:gochecknoglobals // see above; *Tsqlite3_vfs
	methods    uintptr   //nolint:gochecknoglobals // see above
	disks      sync.Map  //nolint:gochecknoglobals // see above; folder to *Disk
	files      registry  //nolint:gochecknoglobals // see above
)

// file is an open file on a disk.
type file struct {
	disk *Disk
	name string
	gone bool // it is removed when it is closed
}

// registry gives open files numbers that C can hold.
type registry struct {
	mu   sync.RWMutex
	last uintptr
	open map[uintptr]*file
}

func (r *registry) add(f *file) uintptr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[uintptr]*file{}
	}
	r.last++
	r.open[r.last] = f
	return r.last
}

func (r *registry) of(p uintptr) *file {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.open[at[header](p).id]
}

func (r *registry) remove(p uintptr) *file {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.open[at[header](p).id]
	delete(r.open, at[header](p).id)
	return f
}

// at gives what is at an address of C, which no garbage collector moves.
func at[T any](p uintptr) *T {
	return *(**T)(unsafe.Pointer(&p)) //nolint:gosec // memory of C
}

// pointer makes a function that C can call.
func pointer[F any](f F) uintptr {
	return *(*uintptr)(unsafe.Pointer(&struct{ f F }{f})) //nolint:gosec // as modernc.org/sqlite does
}

// function makes a pointer of C callable.
func function[F any](p uintptr) F {
	return *(*F)(unsafe.Pointer(&struct{ p uintptr }{p})) //nolint:gosec // as modernc.org/sqlite does
}

func install() error {
	installing.Do(func() { installed = register() })
	return installed
}

func register() error {
	tls := libc.NewTLS()
	defer tls.Close()
	if rc := sqlite3.Xsqlite3_initialize(tls); rc != sqlite3.SQLITE_OK {
		return errors.New("SQLite does not start")
	}
	below = sqlite3.Xsqlite3_vfs_find(tls, 0)
	if below == 0 {
		return errors.New("SQLite has no files")
	}
	name, err := libc.CString("faultdisk")
	if err != nil {
		return err
	}
	vfs := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	layer := at[sqlite3.Tsqlite3_vfs](vfs)
	*layer = *at[sqlite3.Tsqlite3_vfs](below)
	layer.FpNext, layer.FzName = 0, name
	layer.FszOsFile += int32(headerSize)
	layer.FxOpen, layer.FxDelete = pointer(open), pointer(remove)
	methods = libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	*at[sqlite3.Tsqlite3_io_methods](methods) = ioMethods()
	if rc := sqlite3.Xsqlite3_vfs_register(tls, vfs, 1); rc != sqlite3.SQLITE_OK {
		return errors.New("SQLite does not take the layer")
	}
	return nil
}

// diskOf gives the disk of a path, and the name of the file on it.
func diskOf(path uintptr) (*Disk, string) {
	if path == 0 { // temporary
		return nil, ""
	}
	dir, name := filepath.Split(libc.GoString(path))
	v, ok := disks.Load(filepath.Clean(dir))
	if !ok {
		return nil, ""
	}
	d, ok := v.(*Disk)
	if !ok {
		return nil, ""
	}
	return d, name
}

type opener = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32

func open(tls *libc.TLS, _, name, p uintptr, flags int32, out uintptr) int32 {
	d, base := diskOf(name)
	*at[header](p) = header{}
	op := Op{Kind: Open, File: base, Create: flags&sqlite3.SQLITE_OPEN_CREATE != 0}
	if d != nil && d.judge(op) != None {
		return sqlite3.SQLITE_CANTOPEN
	}
	if d != nil {
		d.known(base)
	}
	rc := function[opener](at[sqlite3.Tsqlite3_vfs](below).FxOpen)(tls, below, name, p+headerSize, flags, out)
	if at[header](p+headerSize).methods == 0 {
		return rc
	}
	h := header{methods: methods}
	if d != nil {
		h.id = files.add(&file{disk: d, name: base, gone: flags&sqlite3.SQLITE_OPEN_DELETEONCLOSE != 0})
		if rc == sqlite3.SQLITE_OK {
			d.done(op)
		}
	}
	*at[header](p) = h
	return rc
}

// known reads a file before SQLite may change it.
func (d *Disk) known(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.file(name)
}

func remove(tls *libc.TLS, _, name uintptr, sync int32) int32 {
	d, base := diskOf(name)
	op := Op{Kind: Delete, File: base}
	if d != nil && d.judge(op) != None {
		return sqlite3.SQLITE_IOERR_DELETE
	}
	rc := function[func(*libc.TLS, uintptr, uintptr, int32) int32](at[sqlite3.Tsqlite3_vfs](below).FxDelete)(tls, below, name, sync)
	if d != nil && rc == sqlite3.SQLITE_OK {
		d.done(op)
	}
	return rc
}
