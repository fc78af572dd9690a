// SPDX-License-Identifier: Apache-2.0
// Pictures of cards: the stored thumbnail, else a frame of the stored video; two at a time, and only for cards in view.

import { element } from "./dom.js";

const MOST = 2;
const TRIES = 3;  // of a server that is slow for a while
const waiting = [];
let running = 0;
let ready = Promise.resolve();

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const wanted = entry.target.wanted;
    if (!wanted) continue;
    if (entry.isIntersecting && !wanted.queued) {
      wanted.queued = true;
      waiting.push(entry.target);
    } else if (!entry.isIntersecting && wanted.queued) {
      const place = waiting.indexOf(entry.target);
      if (place >= 0) {
        waiting.splice(place, 1);
        wanted.queued = false;
      }
    }
  }
  next();
}, { rootMargin: "100px" });

/** Show a picture in a card when it comes into view; both addresses may be null. */
export function showThumbnail(media, picture, film) {
  seen.unobserve(media);
  if (!picture && !film) {
    media.wanted = null;
    return;
  }
  media.wanted = { picture, film, queued: false, tries: 0 };
  seen.observe(media);
}

/** Load no picture before something else is done: what the page says comes first. */
export function waitFor(promise) {
  ready = promise;
}

async function next() {
  await ready;
  while (running < MOST && waiting.length) {
    const media = waiting.shift();
    const wanted = media.wanted;
    if (!wanted || !media.isConnected) continue;
    running += 1;
    load(wanted)
      .then((shown) => { if (media.wanted === wanted) media.prepend(shown); seen.unobserve(media); })
      .catch(() => {
        wanted.tries += 1;
        if (media.wanted === wanted && wanted.tries < TRIES) waiting.push(media);
        else seen.unobserve(media);  // the sign of the state stays
      })
      .finally(() => { running -= 1; next(); });
  }
}

async function load({ picture, film }) {
  if (picture) {
    const image = element("img", { src: picture, alt: "" });
    await image.decode();
    return image;
  }
  return frameOf(film);
}

/** Draw a frame from a third of the video, at most 3 s in: the first one is often black. */
function frameOf(film) {
  const video = element("video", { muted: true, preload: "metadata", playsInline: true });
  return new Promise((resolve, reject) => {
    const end = setTimeout(() => reject(new Error("too slow")), 15000);
    video.addEventListener("error", reject);
    video.addEventListener("loadedmetadata", () => {
      if (!video.videoWidth) reject(new Error("no picture"));
      video.currentTime = Math.min(3, (video.duration || 0) / 3);
    });
    video.addEventListener("seeked", () => {
      clearTimeout(end);
      const canvas = element("canvas", { width: 480, height: Math.round((480 * video.videoHeight) / video.videoWidth) });
      canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
      resolve(canvas);
    });
    video.src = film;
  }).finally(() => {
    video.removeAttribute("src");
    video.load();  // ends the transfer
  });
}
