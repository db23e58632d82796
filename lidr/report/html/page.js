"use strict";
{
  const AT_ONCE = 8;
  const section = document.getElementById("pairs"), form = section.querySelector("form");
  const list = section.querySelector(".list"), count = section.querySelector(".count");
  const more = section.querySelector(".more"), pairs = [...list.children];
  const selects = [...form.querySelectorAll("select[data-filter]")], order = form.querySelector("[name=order]");
  let shown = AT_ONCE;

  function margin(pair) {
    return pair.dataset.margin === "" ? NaN : Number(pair.dataset.margin);
  }

  function ordered(found) {
    if (!order || order.value === "") return found;
    const sign = order.value === "small" ? 1 : -1;
    const known = found.filter((pair) => !Number.isNaN(margin(pair)));
    return known.sort((a, b) => sign * (margin(a) - margin(b)));
  }

  function show() {
    const fits = (pair) => selects.every((s) => s.value === "" || pair.dataset[s.dataset.filter] === s.value);
    const found = ordered(pairs.filter(fits));
    list.replaceChildren(...found.slice(0, shown));
    count.textContent = `${Math.min(shown, found.length)} of ${found.length} that fit`;
    more.hidden = found.length <= shown;
  }

  function atAddress() {
    const pair = pairs.find((one) => "#" + one.id === location.hash);
    if (!pair) return;
    for (const select of [...selects, order]) if (select) select.value = "";
    shown = Math.max(shown, pairs.indexOf(pair) + 1);
    show();
    pair.scrollIntoView();
  }

  form.addEventListener("change", () => { shown = AT_ONCE; show(); });
  more.addEventListener("click", () => { shown += AT_ONCE; show(); });
  window.addEventListener("hashchange", atAddress);
  form.hidden = false;
  show();
  atAddress();
}
