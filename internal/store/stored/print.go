package stored

import (
	"encoding/binary"
	"errors"

	"github.com/deltahook/deltahook/differ"
)

// PrintSize is the length of a stored fingerprint: raw and canonical hash of the record, 8 bytes each.
const PrintSize = 16

// ErrPrint says that what is stored is no fingerprint.
var ErrPrint = errors.New("a stored fingerprint is damaged")

// AppendPrint appends the stored form of a fingerprint to b.
func AppendPrint(b []byte, p differ.Print) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, p.Raw), p.Canon)
}

// DecodePrint reads a stored fingerprint.
func DecodePrint(b []byte) (differ.Print, error) {
	if len(b) != PrintSize {
		return differ.Print{}, ErrPrint
	}
	return differ.Print{Raw: binary.LittleEndian.Uint64(b), Canon: binary.LittleEndian.Uint64(b[8:])}, nil
}
