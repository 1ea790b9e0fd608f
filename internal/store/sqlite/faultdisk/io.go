package faultdisk

import (
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// ioMethods are what SQLite does with an open file of this layer.
func ioMethods() sqlite3.Tsqlite3_io_methods {
	return sqlite3.Tsqlite3_io_methods{
		FiVersion: 2, // without memory maps of the database: what is read passes here
		FxClose:   pointer(closed), FxRead: pointer(read), FxWrite: pointer(write), FxTruncate: pointer(truncate), FxSync: pointer(synced),
		FxFileSize: pointer(fileSize), FxLock: pointer(lock), FxUnlock: pointer(unlock), FxCheckReservedLock: pointer(checkLock),
		FxFileControl: pointer(control), FxSectorSize: pointer(sectorSize), FxDeviceCharacteristics: pointer(characteristics),
		FxShmMap: pointer(shmMap), FxShmLock: pointer(shmLock), FxShmBarrier: pointer(shmBarrier), FxShmUnmap: pointer(shmUnmap),
	}
}

// real gives the file of the layer below, and what can be done with it.
func real(p uintptr) (uintptr, *sqlite3.Tsqlite3_io_methods) {
	return p + headerSize, at[sqlite3.Tsqlite3_io_methods](at[header](p + headerSize).methods)
}

// The shapes of the methods.
type (
	plain    = func(*libc.TLS, uintptr) int32
	numbered = func(*libc.TLS, uintptr, int32) int32
	sized    = func(*libc.TLS, uintptr, int64) int32
	asked    = func(*libc.TLS, uintptr, uintptr) int32
	moved    = func(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32
)

func closed(tls *libc.TLS, p uintptr) int32 {
	f, m := real(p)
	rc := function[plain](m.FxClose)(tls, f)
	if on := files.remove(p); on != nil && on.gone {
		on.disk.done(Op{Kind: Delete, File: on.name})
	}
	return rc
}

// judge says what becomes of an operation on an open file; one without a disk has no faults.
func judge(p uintptr, op Op) (*file, Fault) {
	f := files.of(p)
	if f == nil {
		return nil, None
	}
	op.File = f.name
	return f, f.disk.judge(op)
}

// did notes what had its effect.
func (f *file) did(rc int32, op Op) int32 {
	if f != nil && rc == sqlite3.SQLITE_OK {
		op.File = f.name
		f.disk.done(op)
	}
	return rc
}

func read(tls *libc.TLS, p, buf uintptr, n int32, offset int64) int32 {
	if _, fault := judge(p, Op{Kind: Read, Offset: offset}); fault == Broken {
		return sqlite3.SQLITE_IOERR_READ
	}
	f, m := real(p)
	return function[moved](m.FxRead)(tls, f, buf, n, offset)
}

func write(tls *libc.TLS, p, buf uintptr, n int32, offset int64) int32 {
	op := Op{Kind: Write, Offset: offset, Data: unsafe.Slice(at[byte](buf), n)} //nolint:gosec // memory of C
	on, fault := judge(p, op)
	f, m := real(p)
	switch fault {
	case None:
	case Full:
		return sqlite3.SQLITE_FULL
	case Torn:
		op.Data = op.Data[:n/2]
		on.did(function[moved](m.FxWrite)(tls, f, buf, n/2, offset), op)
		return sqlite3.SQLITE_IOERR_WRITE
	default:
		return sqlite3.SQLITE_IOERR_WRITE
	}
	return on.did(function[moved](m.FxWrite)(tls, f, buf, n, offset), op)
}

func truncate(tls *libc.TLS, p uintptr, size int64) int32 {
	op := Op{Kind: Truncate, Offset: size}
	on, fault := judge(p, op)
	if fault != None && fault != Full {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	f, m := real(p)
	return on.did(function[sized](m.FxTruncate)(tls, f, size), op)
}

// synced notes the sync of a file on a disk instead of waiting for the one below.
func synced(tls *libc.TLS, p uintptr, flags int32) int32 {
	op := Op{Kind: Sync}
	on, fault := judge(p, op)
	switch {
	case fault != None:
		return sqlite3.SQLITE_IOERR_FSYNC
	case on != nil:
		return on.did(sqlite3.SQLITE_OK, op)
	}
	f, m := real(p)
	return function[numbered](m.FxSync)(tls, f, flags)
}

func fileSize(tls *libc.TLS, p, out uintptr) int32 {
	f, m := real(p)
	return function[asked](m.FxFileSize)(tls, f, out)
}

func lock(tls *libc.TLS, p uintptr, level int32) int32 {
	f, m := real(p)
	return function[numbered](m.FxLock)(tls, f, level)
}

func unlock(tls *libc.TLS, p uintptr, level int32) int32 {
	f, m := real(p)
	return function[numbered](m.FxUnlock)(tls, f, level)
}

func checkLock(tls *libc.TLS, p, out uintptr) int32 {
	f, m := real(p)
	return function[asked](m.FxCheckReservedLock)(tls, f, out)
}

func control(tls *libc.TLS, p uintptr, op int32, arg uintptr) int32 {
	f, m := real(p)
	if op == sqlite3.SQLITE_FCNTL_SIZE_HINT || op == sqlite3.SQLITE_FCNTL_CHUNK_SIZE {
		return sqlite3.SQLITE_OK // the file grows by writes only
	}
	return function[func(*libc.TLS, uintptr, int32, uintptr) int32](m.FxFileControl)(tls, f, op, arg)
}

func sectorSize(tls *libc.TLS, p uintptr) int32 {
	f, m := real(p)
	return function[plain](m.FxSectorSize)(tls, f)
}

func characteristics(tls *libc.TLS, p uintptr) int32 {
	f, m := real(p)
	return function[plain](m.FxDeviceCharacteristics)(tls, f)
}

func shmMap(tls *libc.TLS, p uintptr, region, size, extend int32, out uintptr) int32 {
	f, m := real(p)
	return function[func(*libc.TLS, uintptr, int32, int32, int32, uintptr) int32](m.FxShmMap)(tls, f, region, size, extend, out)
}

func shmLock(tls *libc.TLS, p uintptr, offset, n, flags int32) int32 {
	f, m := real(p)
	return function[func(*libc.TLS, uintptr, int32, int32, int32) int32](m.FxShmLock)(tls, f, offset, n, flags)
}

func shmBarrier(tls *libc.TLS, p uintptr) {
	f, m := real(p)
	function[func(*libc.TLS, uintptr)](m.FxShmBarrier)(tls, f)
}

func shmUnmap(tls *libc.TLS, p uintptr, remove int32) int32 {
	f, m := real(p)
	return function[numbered](m.FxShmUnmap)(tls, f, remove)
}
