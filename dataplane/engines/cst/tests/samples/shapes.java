package org.example.shapes;

import static java.lang.Math.*;
import java.util.List;

/** One of everything. */
@FunctionalInterface
public sealed interface Shape<T extends Comparable<? super T> & Cloneable> permits Circle, Square {
    int SIDES = 0x1F + 0b10 - 017;

    double area(final T by, int... more) throws IllegalStateException;

    default String name() { return "shape\t\u00e9" + 'q'; }
}

record Circle(double radius) implements Shape<String> {
    Circle {
        if (radius < 0) throw new IllegalArgumentException(radius + " < 0");
    }

    @Override
    public double area(String by, int... more) { return PI * radius * radius; }
}

enum Color {
    RED(1) { @Override int value() { return 2; } },
    GREEN;

    private final int value;

    Color(int... value) { this.value = value.length > 0 ? value[0] : -1; }

    int value() { return value; }
}

abstract class Base<K, V> extends Object {
    private static volatile long[][] table = {{1L, 2}, new long[3], null};
    static { table[0][1] <<= 3; }

    synchronized <R> List<R> each(java.util.function.Function<? super K, ? extends R> f) {
        outer:
        for (int i = 0, j = 9; i < j; i++, --j) {
            do { if (i % 2 == 0) continue outer; } while (i != 0);
            switch (i) {
                case 1, 2 -> System.out.println(i);
                default -> { break outer; }
            }
        }
        try (var in = open(); var out = this.<String>other()) {
            for (var x : List.of(1, 2.5e3f)) assert x != null : "none";
        } catch (RuntimeException | Error e) {
            throw e;
        } finally {
            synchronized (this) { table = null; }
        }
        Runnable r = () -> { }, s = Base::new;
        return (List<R>) (Object) (f instanceof Object o && !o.equals(r) ? List.of() : """
            a "block" of
              text""");
    }
}
