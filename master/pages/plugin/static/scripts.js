// The farm's pages inside Buildbot's: a menu, and routes that show what the master made (master/pages). What is shown
// is HTML of the farm's own; this only fetches it, follows its forms, and keeps it fresh.
(() => {
  "use strict";
  const { createElement, useEffect, useRef } = window.React;
  const { useLocation, useNavigate } = window.ReactRouterDOM;
  const FRESH_MS = 20000;
  const AWAY = "The master does not answer. This page tries again by itself.";

  // Below wherever a proxy puts the farm.
  const base = () => window.location.pathname.replace(/[^/]*$/, "");

  const refusal = (text) => {
    const main = document.createElement("main");
    main.className = "mint";
    main.tabIndex = -1;
    const line = document.createElement("p");
    line.className = "mint-refusal";
    line.setAttribute("role", "alert");
    line.textContent = text;
    main.append(line);
    return main.outerHTML;
  };

  const fetched = async (name, search, signal) => {
    try {
      const answer = await fetch(`${base()}pages/part/${name}${search}`, { signal, credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403) {
        return refusal("Log in to read this (at the upper right).");
      }
      const html = await answer.text();
      // A proxy's own page of an error is not the farm's, and not put into this one.
      return html.trimStart().startsWith("<main ") ? html : refusal(AWAY);
    } catch (problem) {
      return signal.aborted ? null : refusal(AWAY);
    }
  };

  const View = ({ name }) => {
    const holder = useRef(null);
    const { search } = useLocation();
    const navigate = useNavigate();
    useEffect(() => {
      const place = holder.current;
      const stop = new AbortController();
      let shown = "";
      const show = async (first) => {
        const html = await fetched(name, search, stop.signal);
        if (html === null || html === shown) {
          return;
        }
        // Nothing is taken away under the hands of who is in it.
        if (!first && place.contains(document.activeElement) && document.activeElement.tagName !== "MAIN") {
          return;
        }
        shown = html;
        place.innerHTML = html;
        const main = place.querySelector("main");
        document.title = main.dataset.title || "pymint";
        if (first) {
          main.focus({ preventScroll: true });
          window.scrollTo(0, 0);
        }
      };
      const submitted = (event) => {
        event.preventDefault();
        const said = [...new FormData(event.target)].filter(([, value]) => value !== "");
        navigate(`/farm/${event.target.dataset.page}?${new URLSearchParams(said)}`);
      };
      place.addEventListener("submit", submitted);
      show(true);
      const timer = setInterval(() => document.visibilityState === "visible" && show(false), FRESH_MS);
      return () => {
        stop.abort();
        clearInterval(timer);
        place.removeEventListener("submit", submitted);
      };
    }, [name, search]);
    return createElement("div", { ref: holder, className: "mint-frame" });
  };

  const icon = () =>
    createElement(
      "svg",
      { viewBox: "0 0 16 16", width: "1em", height: "1em", fill: "currentColor", "aria-hidden": true },
      createElement("path", { d: "M1 1h6v6H1zM9 1h6v6H9zM1 9h6v6H1zM10 10h4v4h-4z" })
    );

  const skip = () => {
    const link = document.createElement("a");
    link.className = "mint-skip";
    link.href = "#";
    link.textContent = "Skip to the content";
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const main = document.querySelector(".mint-frame main");
      if (main) {
        main.focus();
      }
    });
    document.body.prepend(link);
  };

  window.BuildbotPluginSupport.buildbotSetupPlugin((registration, config) => {
    registration.registerMenuGroup({
      name: "farm", caption: "Farm", icon: createElement(icon), order: 2, route: null, parentName: null,
    });
    config.plugins.pymint.pages.forEach(({ name, title, menu }, order) => {
      if (menu) {
        registration.registerMenuGroup({
          name: `farm-${name}`, caption: title, order, route: `/farm/${name}`, parentName: "farm",
        });
      }
      registration.registerRoute({
        route: `/farm/${name}`,
        group: menu ? `farm-${name}` : "farm",
        element: () => createElement(View, { key: name, name }),
      });
    });
    skip();
  });
})();
