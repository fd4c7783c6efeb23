
(function () {
  const profiles = document.getElementById("k8s-hub-profiles");
  function selectOf(unlisted) {
    return document.getElementById(unlisted.dataset.unlisted);
  }
  // Show, check and send only what belongs to the choice.
  function refresh() {
    profiles.querySelectorAll("[data-options-of]").forEach(function (options) {
      const isChosen = document.getElementById(options.dataset.optionsOf).checked;
      options.hidden = options.disabled = !isChosen;
    });
    profiles.querySelectorAll("[data-unlisted]").forEach(function (unlisted) {
      const select = selectOf(unlisted);
      const isWanted = !select || select.value === "unlisted-choice";
      const input = unlisted.querySelector("input");
      unlisted.hidden = input.disabled = !isWanted;
      input.required = isWanted;
    });
  }
  profiles.addEventListener("change", function (event) {
    if (event.target.type === "text") {
      event.target.value = event.target.value.trim();  // before the browser compares it with its pattern
    }
    refresh();
  });
  window.addEventListener("pageshow", refresh);
  if (profiles.form) {
    profiles.form.addEventListener("formdata", function (event) {
      profiles.querySelectorAll("[data-unlisted]").forEach(function (unlisted) {
        const select = selectOf(unlisted);
        if (select && select.value === "unlisted-choice") {
          event.formData.delete(select.name);
        }
      });
    });
  }
  refresh();
})();
