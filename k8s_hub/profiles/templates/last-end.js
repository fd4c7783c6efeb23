
(function () {
  const time = document.querySelector("#k8s-hub-last-end time");
  const moment = new Date(time.dateTime);
  const isToday = moment.toDateString() === new Date().toDateString();
  const style = isToday ? undefined : "medium";
  time.title = time.textContent;
  time.textContent = moment.toLocaleString([], { dateStyle: style, timeStyle: "short" });
})();
