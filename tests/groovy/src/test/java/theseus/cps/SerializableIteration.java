package theseus.cps;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;

/** A Groovy category: `for (x in list)` over steps must leave nothing that cannot be saved. Jenkins has the like. */
public final class SerializableIteration {
    private SerializableIteration() {
    }

    public static <E> Iterator<E> iterator(List<E> list) {
        return new Position<>(list);
    }

    public static <E> Iterator<E> iterator(Set<E> set) {
        return new Position<>(new ArrayList<>(set));
    }

    private static final class Position<E> implements Iterator<E>, Serializable {
        private static final long serialVersionUID = 1;
        private final List<E> list;
        private int next;

        Position(List<E> list) {
            this.list = list;
        }

        @Override
        public boolean hasNext() {
            return next < list.size();
        }

        @Override
        public E next() {
            if (!hasNext()) {
                throw new NoSuchElementException();
            }
            return list.get(next++);
        }
    }
}
