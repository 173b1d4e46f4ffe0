// The switches: which map is shown, and what lies over it.

const MAPS = [['collaborative', 'together'], ['alone', 'alone'], ['who', 'who contributes'], ['truth', 'truth']];
const OVER = [['boxes', 'boxes'], ['paths', 'paths'], ['truth', 'true boxes'], ['scene', 'roads and buildings'], ['fields', 'fields of view']];
const LEGENDS = {
  collaborative: ['found', 'missed', 'false alarm'],
  alone: ['found', 'missed', 'false alarm'],
  who: ['several UAVs'],
  truth: ['vehicle'],
};

export class Layers {
  constructor(element, note, onChange) {
    Object.assign(this, { map: 'collaborative', boxes: true, paths: true, truth: false, scene: true, fields: false });
    this.note = note;
    element.append(this.group(MAPS.map(([key, text]) => this.choice('radio', key, text, onChange))),
      this.group(OVER.map(([key, text]) => this.choice('checkbox', key, text, onChange))));
  }

  // The answer whose boxes and paths are shown.
  get variant() {
    return this.map === 'alone' ? 'single' : 'collaborative';
  }

  legend(mission) {
    const entries = LEGENDS[this.map].map((name) => [mission.about.colours[name], name]);
    if (this.map === 'who') entries.unshift(...mission.about.agents.map(({ name, colour }) => [colour, name]));
    this.note.replaceChildren(...entries.flatMap(([colour, name]) => {
      const mark = document.createElement('i');
      mark.style.background = colour;
      return [mark, name];
    }));
  }

  group(labels) {
    const element = document.createElement('div');
    element.className = 'm-group';
    element.append(...labels);
    return element;
  }

  choice(type, key, text, onChange) {
    const label = document.createElement('label'), input = document.createElement('input');
    Object.assign(input, { type, name: type === 'radio' ? 'm-map' : key, value: key });
    input.checked = type === 'radio' ? this.map === key : this[key];
    input.addEventListener('change', () => {
      if (type === 'radio') this.map = key;
      else this[key] = input.checked;
      onChange();
    });
    label.append(input, ` ${text}`);
    return label;
  }
}
