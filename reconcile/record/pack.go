package record

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"jeroboam.io/jeroboam/diff"
	"jeroboam.io/jeroboam/schema"
)

// Memory of 10,000 clusters is read at every start, and JSON of it would cost
// half a second. So values are packed: fields in the order of the struct,
// strings and lists with their length before them. There are no field names in
// it; layout names the fields, and values of another layout are forgotten.

// layout identifies what packed values look like: it changes with any field.
// A remembered value that lacks a field which a newer release looks at would
// be taken for a cluster that lost something, so it is better read again.
func layout() string {
	return schema.Digest(describe(reflect.TypeFor[diff.Observed]()))
}

func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int:
		return t.Kind().String()
	case reflect.Pointer, reflect.Slice:
		return t.Kind().String() + " " + describe(t.Elem())
	case reflect.Map:
		return "map " + describe(t.Key()) + " " + describe(t.Elem())
	case reflect.Struct:
		var b strings.Builder
		for f := range t.Fields() {
			fmt.Fprintf(&b, "%s %s;", f.Name, describe(f.Type))
		}
		return "{" + b.String() + "}"
	default:
		panic("record: cannot pack " + t.String())
	}
}

// pack appends v to b. A nil list, map or pointer is 0; a list of n is n+1.
func pack(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.String:
		return packString(b, v.String())
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int:
		return binary.AppendVarint(b, v.Int())
	case reflect.Struct:
		for _, f := range v.Fields() {
			b = pack(b, f)
		}
		return b
	default:
		if v.IsNil() {
			return append(b, 0)
		}
		return packList(b, v)
	}
}

func packList(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		return pack(append(b, 1), v.Elem())
	case reflect.Slice:
		b = binary.AppendUvarint(b, uint64(v.Len())+1) //nolint:gosec // a length is not negative
		for i := range v.Len() {
			b = pack(b, v.Index(i))
		}
		return b
	default:
		b = binary.AppendUvarint(b, uint64(v.Len())+1) //nolint:gosec // a length is not negative
		if m, ok := reflect.TypeAssert[map[string]string](v); ok {
			for _, k := range slices.Sorted(maps.Keys(m)) {
				b = packString(packString(b, k), m[k])
			}
			return b
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			b = pack(packString(b, k.String()), v.MapIndex(k))
		}
		return b
	}
}

func packString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unpack fills to, a pointer, from what pack made.
func unpack(packed string, to any) error {
	u := unpacker{rest: packed}
	u.value(reflect.ValueOf(to).Elem())
	if u.broken || u.rest != "" {
		return errors.New("a remembered value is cut or torn")
	}
	return nil
}

// unpacker reads from the front of rest. Strings are parts of the packed value
// and cost no memory of their own.
type unpacker struct {
	rest   string
	broken bool
}

func (u *unpacker) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(u.take(u.number()))
	case reflect.Bool:
		v.SetBool(u.number() == 1)
	case reflect.Int:
		n := u.number()
		v.SetInt(int64(n>>1) ^ -int64(n&1)) // zigzag, as AppendVarint writes it
	case reflect.Struct:
		for i := range v.NumField() { //nolint:modernize // an iterator costs a third of the load
			u.value(v.Field(i))
		}
	default:
		if n := u.number(); n > uint64(len(u.rest))+1 { // each entry takes a byte or more
			u.broken, u.rest = true, ""
		} else if n > 0 {
			u.list(v, int(n-1)) //nolint:gosec // it is not longer than what is left
		}
	}
}

func (u *unpacker) list(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		u.value(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			u.value(v.Index(i))
		}
	default:
		if v.Type() != reflect.TypeFor[map[string]string]() {
			u.mapping(v, n)
			return
		}
		m := make(map[string]string, n)
		for range n {
			k := u.take(u.number())
			m[k] = u.take(u.number())
		}
		v.Set(reflect.ValueOf(m))
	}
}

// mapping is for maps that few clusters have: of texts to anything but texts.
func (u *unpacker) mapping(v reflect.Value, n int) {
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		k, e := u.take(u.number()), reflect.New(v.Type().Elem()).Elem()
		u.value(e)
		v.SetMapIndex(reflect.ValueOf(k), e)
	}
}

func (u *unpacker) take(n uint64) string {
	if n > uint64(len(u.rest)) {
		u.broken, u.rest = true, ""
		return ""
	}
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

func (u *unpacker) number() uint64 {
	var n uint64
	for i := 0; i < len(u.rest) && i < binary.MaxVarintLen64; i++ {
		c := u.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			u.rest = u.rest[i+1:]
			return n
		}
	}
	u.broken, u.rest = true, ""
	return 0
}
