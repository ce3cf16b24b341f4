// Each map on the page: lay its dots out in pixels, and show the picture that is pointed at.
(() => {
  const SVG = "http://www.w3.org/2000/svg", MARGIN = 26, REACH = 40, SIDE = 46;
  const thumbnails = (window.mapThumbnails ||= new Map());
  const make = (name, kind) => {
    const made = document.createElementNS(SVG, name);
    made.setAttribute("class", kind);
    return made;
  };
  const set = (node, values) => {
    for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
  };

  for (const map of document.querySelectorAll(".map:not([data-ready])")) {
    map.dataset.ready = "";
    const data = JSON.parse(map.querySelector("script").textContent);
    for (const [uri, picture] of Object.entries(data.thumbnails)) thumbnails.set(uri, picture);
    const plane = map.querySelector(".map-plane"), svg = plane.querySelector("svg");
    const card = plane.querySelector(".map-card"), dots = [...svg.querySelectorAll("circle")];
    const choice = map.querySelector(".map-choice"), box = map.querySelector(".map-pictures");
    const layer = make("g", "layer"), ring = make("circle", "ring");
    set(ring, { r: 8, visibility: "hidden" });
    svg.append(layer, ring);
    if (!data.uris.some((uri) => thumbnails.get(uri))) box.parentElement.hidden = true;

    let width = 0, height = 0, points = [], chosen = -1;
    const coloring = () => data.colorings[choice ? Number(choice.value) : 0];
    const colorOf = (one) => coloring().classes[coloring().members[one]].color;

    function drawPictures() {
      layer.replaceChildren();
      if (!box.checked) return;
      const taken = [];
      points.forEach(([x, y], one) => {
        const picture = thumbnails.get(data.uris[one]);
        const near = ([a, b]) => Math.abs(a - x) < SIDE + 4 && Math.abs(b - y) < SIDE + 4;
        if (!picture || taken.some(near)) return;
        taken.push([x, y]);
        const image = make("image", ""), frame = make("rect", "frame");
        const left = Math.min(Math.max(x - SIDE / 2, 2), width - SIDE - 2);
        const top = Math.min(Math.max(y - SIDE / 2, 2), height - SIDE - 2);
        const place = { x: left, y: top, width: SIDE, height: SIDE };
        set(image, { ...place, href: picture, preserveAspectRatio: "xMidYMid slice" });
        set(frame, { ...place, rx: 2, stroke: colorOf(one) });
        layer.append(image, frame);
      });
    }

    function layOut() {
      width = plane.clientWidth;
      height = Math.round(Math.min(620, Math.max(380, width * 0.58)));
      set(svg, { viewBox: `0 0 ${width} ${height}` });
      const inside = (share, size) => MARGIN + share * (size - 2 * MARGIN);
      points = data.places.map(([x, y]) => [inside(x, width), inside(1 - y, height)]);
      points.forEach(([x, y], one) => set(dots[one], { cx: x, cy: y, r: width < 600 ? 3.5 : 4.5 }));
      drawPictures();
      show(-1);
    }

    function recolor() {
      dots.forEach((dot, one) => set(dot, { fill: colorOf(one) }));
      map.querySelector(".map-legend").replaceChildren(...coloring().classes.map((kind) => {
        const line = document.createElement("li"), swatch = document.createElement("i");
        swatch.style.background = kind.color;
        line.append(swatch, `${kind.label} (${kind.count.toLocaleString("en")})`);
        return line;
      }));
      drawPictures();
    }

    function show(one) {
      chosen = one;
      card.hidden = one < 0;
      set(ring, { visibility: one < 0 ? "hidden" : "visible" });
      if (one < 0) return;
      const [x, y] = points[one], uri = data.uris[one], picture = thumbnails.get(uri);
      const name = document.createElement("b"), about = document.createElement("span");
      const image = document.createElement(picture ? "img" : "div");
      if (picture) Object.assign(image, { src: picture, alt: "" });
      else Object.assign(image, { className: "absent", textContent: "not readable now" });
      name.textContent = uri.replace(/\/+$/, "").split("/").pop();
      about.textContent = data.nearest ? `nearest other: ${data.nearest[one]}` : "";
      card.title = uri;
      card.replaceChildren(image, name, about);
      set(ring, { cx: x, cy: y });
      const beside = x + 16 + card.offsetWidth < width ? x + 16 : x - 16 - card.offsetWidth;
      const below = Math.min(y + 12, height - card.offsetHeight - 6);
      card.style.left = `${Math.max(6, Math.min(beside, width - card.offsetWidth - 6))}px`;
      card.style.top = `${Math.max(6, below)}px`;
    }

    function nearest(x, y, reach) {
      let best = -1, least = reach * reach;
      points.forEach(([a, b], one) => {
        const apart = (a - x) ** 2 + (b - y) ** 2;
        if (apart < least) [best, least] = [one, apart];
      });
      return best;
    }

    function step(dx, dy) {
      const [x, y] = points[chosen];
      let best = chosen, least = Infinity;
      points.forEach(([a, b], one) => {
        const along = (a - x) * dx + (b - y) * dy, aside = Math.abs((a - x) * dy + (b - y) * dx);
        if (one === chosen || along <= 0.01 || aside > 2 * along) return;
        if (along + 2 * aside < least) [best, least] = [one, along + 2 * aside];
      });
      show(best);
    }

    const at = (event) => {
      const frame = svg.getBoundingClientRect();
      show(nearest(event.clientX - frame.left, event.clientY - frame.top, REACH));
    };
    svg.addEventListener("pointermove", at);
    svg.addEventListener("pointerdown", at);
    svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(-1));
    svg.addEventListener("focus", () => {
      if (chosen < 0 && svg.matches(":focus-visible")) show(nearest(width / 2, height / 2, 1e5));
    });
    svg.addEventListener("blur", () => show(-1));
    svg.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (event.key === "Escape") return show(-1);
      if (!way[event.key]) return undefined;
      event.preventDefault();
      if (chosen < 0) show(nearest(width / 2, height / 2, 1e5));
      else step(...way[event.key]);
      return undefined;
    });
    box.addEventListener("change", drawPictures);
    if (choice) choice.addEventListener("change", recolor);
    new ResizeObserver(() => plane.clientWidth !== width && layOut()).observe(plane);
    layOut();
  }
})();
