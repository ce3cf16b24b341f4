// A list that grows as one scrolls.

export class Endless {
  #busy = false;
  next = 0;
  count = Infinity;

  // end: an element after the list. some(offset, limit): fetches and draws; gives the count of all, or null
  // where another list has taken its place.
  constructor(end, { step, most, ahead }, some) {
    Object.assign(this, { end, step, most, ahead, some });
  }

  // Until the screen is full, and `wanted` are there. Fails as `some` does, and can then be called again.
  async more(wanted = 0) {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.next < this.count && (this.next < wanted || this.#isNear())) {
        const limit = Math.min(Math.max(wanted - this.next, this.step), this.most);
        const count = await this.some(this.next, limit);
        if (count === null) return;
        this.count = count;
        this.next += limit;
      }
    } finally {
      this.#busy = false;
    }
  }

  #isNear() {
    return this.next === 0 || this.end.getBoundingClientRect().top < innerHeight + this.ahead;
  }
}

export function whenNear(end, ahead, work) {
  const watch = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && work(), {
    rootMargin: `${ahead}px`,
  });
  watch.observe(end);
}
