// Package shapes has one of everything.
package shapes

import (
	"context"
	. "fmt"
	str "strings"
)

const (
	First = iota << 1
	Second
	text, raw = "tab\t\u00e9", `as
it is`
)

type Number interface {
	~int | ~float64
	String() string
}

type Pair[K comparable, V any] struct {
	Key K `json:"key"`
	V
	next *Pair[K, V]
	on   chan<- struct{}
}

var table = map[string][]int{"a": {1, 2, 0x1F}, "b": nil}

// Sum adds what it is given.
func Sum[N Number](first N, rest ...N) (total N, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = Errorf("%v", r)
		}
	}()
outer:
	for i, n := range rest {
		switch {
		case i > 3 && n != first:
			break outer
		case n == 0:
			fallthrough
		default:
			total += n
		}
	}
	return total, nil
}

func (p *Pair[K, V]) Each(ctx context.Context, f func(K) bool) {
	select {
	case <-ctx.Done():
		return
	case p.on <- struct{}{}:
	default:
		goto end
	}
	go f(p.Key)
	for p.next != nil {
		p = p.next
		if v, ok := any(p.V).(fmt.Stringer); !ok {
			continue
		} else if x := str.Map(func(r rune) rune { return r &^ 1 }, v.String()); x[1:3:4] == "é" {
			Println(x, 'q', 1i, 0b10, *p)
		}
	}
end:
}
